// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/wire.hpp"

#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <limits>
#include <random>

using namespace trireme;
using namespace trireme::net;
using trireme::testing::code_of;

namespace {

Writer every_field() {
  Writer writer;
  writer.u8(0x12);
  writer.u16(0x3456);
  writer.u32(0x789abcdeu);
  writer.u64(0xfedcba9876543210u);
  writer.i32(-7);
  writer.text("text");
  writer.text("");
  return writer;
}

}  // namespace

TEST_CASE("Fields travel in little-endian order") {
  Writer writer;
  writer.u16(0x0102);
  writer.u32(0x03040506u);
  writer.text("A");
  const unsigned char expected[] = {2, 1, 6, 5, 4, 3, 1, 0, 0, 0, 'A'};
  auto data = writer.data();
  REQUIRE(data.size() == sizeof expected);
  for (std::size_t i = 0; i < data.size(); ++i) CHECK(std::to_integer<unsigned char>(data[i]) == expected[i]);
}

TEST_CASE("What was written is read back") {
  Writer writer = every_field();
  Reader reader(writer.data());
  CHECK(reader.u8() == 0x12);
  CHECK(reader.u16() == 0x3456);
  CHECK(reader.u32() == 0x789abcdeu);
  CHECK(reader.u64() == 0xfedcba9876543210u);
  CHECK(reader.i32() == -7);
  CHECK(reader.text() == "text");
  CHECK_FALSE(reader.finished());
  CHECK(reader.text().empty());
  CHECK(reader.ok());
  CHECK(reader.finished());
}

TEST_CASE("Extreme values survive") {
  Writer writer;
  writer.u64(std::numeric_limits<std::uint64_t>::max());
  writer.i32(std::numeric_limits<std::int32_t>::min());
  writer.u8(255);
  Reader reader(writer.data());
  CHECK(reader.u64() == std::numeric_limits<std::uint64_t>::max());
  CHECK(reader.i32() == std::numeric_limits<std::int32_t>::min());
  CHECK(reader.u8() == 255);
  CHECK(reader.finished());
}

TEST_CASE("A reader cut off at any byte is bad and stays bad") {
  Writer writer = every_field();
  for (std::size_t cut = 0; cut < writer.data().size(); ++cut) {
    // A copy of exact size, so that the address sanitizer sees a read beyond it.
    std::vector<std::byte> part(writer.data().begin(), writer.data().begin() + static_cast<std::ptrdiff_t>(cut));
    Reader reader(part);
    reader.u8();
    reader.u16();
    reader.u32();
    reader.u64();
    reader.i32();
    reader.text();
    reader.text();
    CHECK_FALSE(reader.ok());
    CHECK_FALSE(reader.finished());
    CHECK(reader.u8() == 0);
    CHECK(reader.u64() == 0);
    CHECK(reader.text().empty());
    CHECK(reader.bytes(0).empty());
    CHECK_FALSE(reader.ok());
  }
}

TEST_CASE("A length beyond the bytes or the limit is refused") {
  Writer writer;
  writer.u32(0xffffffffu);
  writer.u32(0);
  Reader huge(writer.data());
  CHECK(huge.text().empty());
  CHECK_FALSE(huge.ok());
  CHECK_FALSE(Reader(writer.data()).bytes(std::numeric_limits<std::size_t>::max()).data() != nullptr);

  Writer five;
  five.text("12345");
  Reader tight(five.data());
  CHECK(tight.text(4).empty());
  CHECK_FALSE(tight.ok());
  CHECK(Reader(five.data()).text(5) == "12345");
}

TEST_CASE("Random bytes never make a reader leave its span") {
  std::mt19937 generator(7);
  int finished = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(generator() % 64);
    for (std::byte& value : bytes) value = static_cast<std::byte>(generator() % 8);  // small: lengths often fit
    Reader reader(bytes);
    std::size_t taken = 0;
    for (std::size_t steps = generator() % 8; steps > 0; --steps) {
      std::size_t number = generator() % 32;
      switch (generator() % 6) {
        case 0: reader.u8(), taken += 1; break;
        case 1: reader.u16(), taken += 2; break;
        case 2: reader.u32(), taken += 4; break;
        case 3: reader.u64(), taken += 8; break;
        case 4: taken += 4 + reader.text(number).size(); break;
        default: reader.bytes(number), taken += number; break;
      }
    }
    if (taken > bytes.size()) CHECK_FALSE(reader.ok());
    if (reader.ok()) CHECK(reader.finished() == (taken == bytes.size()));
    finished += reader.finished();
  }
  CHECK(finished > 0);
}

TEST_CASE("A text above one mebibyte is not written") {
  std::string most(std::size_t{1} << 20, 'x');
  Writer writer;
  writer.text(most);
  CHECK(Reader(writer.data()).text() == most);
  CHECK(code_of([&] { writer.text(most + "x"); }) == ErrorCode::invalid_argument);
}
