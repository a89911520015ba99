// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/record_io.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <string>
#include <vector>

using namespace trireme;
using trireme::data::MemorySource;
using trireme::data::RecordIoReader;

namespace {

const std::string magic_bytes = "\x0a\x23\xd7\xce";

std::string framed_part(unsigned part, const std::string& bytes) {
  std::string text = magic_bytes;
  const std::uint32_t word = part << 29 | static_cast<std::uint32_t>(bytes.size());
  for (unsigned shift = 0; shift < 32; shift += 8) text += static_cast<char>(word >> shift & 0xff);
  return text + bytes + std::string((4 - bytes.size() % 4) % 4, '\0');
}

std::vector<std::string> records_in(const std::string& stream, std::size_t piece) {
  const std::vector<std::uint8_t> bytes(stream.begin(), stream.end());
  MemorySource source(bytes);
  RecordIoReader reader(source, "a pipe");
  std::vector<std::string> records;
  std::vector<std::uint8_t> buffer(piece);
  while (reader.next()) {
    std::string record;
    for (std::size_t got = piece; got == piece;) {
      got = reader.read(buffer);
      record.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
    }
    records.push_back(record);
  }
  return records;
}

std::string damage_in(const std::string& stream) {
  try {
    records_in(stream, 16);
  } catch (const Exception& exception) {
    CHECK(exception.error().code == ErrorCode::corrupt);
    return exception.error().message;
  }
  return "sound";
}

}  // namespace

TEST_CASE("RecordIO records come out as they went in, in pieces of any size") {
  const std::string stream = framed_part(0, "hello") + framed_part(0, "") + framed_part(0, "four");
  for (const std::size_t piece : {1, 2, 3, 4, 5, 64})
    CHECK(records_in(stream, piece) == std::vector<std::string>{"hello", "", "four"});
  CHECK(records_in("", 8).empty());
}

TEST_CASE("A RecordIO record of several parts has the magic between them again") {
  const std::string stream =
      framed_part(1, "head") + framed_part(2, "") + framed_part(3, "tail7") + framed_part(0, "x");
  for (const std::size_t piece : {1, 3, 64})
    CHECK(records_in(stream, piece) == std::vector<std::string>{"head" + magic_bytes + magic_bytes + "tail7", "x"});
}

TEST_CASE("A RecordIO record that is left in the middle is skipped") {
  const std::string stream = framed_part(1, std::string(9000, 'a')) + framed_part(3, "b") + framed_part(0, "next");
  const std::vector<std::uint8_t> bytes(stream.begin(), stream.end());
  MemorySource source(bytes);
  RecordIoReader reader(source, "a pipe");
  REQUIRE(reader.next());
  std::uint8_t one = 0;
  CHECK(reader.read({&one, 1}) == 1);
  REQUIRE(reader.next());
  std::array<std::uint8_t, 8> rest{};
  CHECK(reader.read(rest) == 4);
  CHECK_FALSE(reader.next());
}

TEST_CASE("Damage in RecordIO is told with its place") {
  CHECK(damage_in("not a record") == "a pipe: no RecordIO record begins at byte 0");
  CHECK(damage_in(framed_part(0, "four") + "abc") == "a pipe: ends within a record that begins at byte 12");
  CHECK(damage_in(framed_part(0, "hello world").substr(0, 14)) == "a pipe: ends at byte 14, within a record");
  CHECK(damage_in(framed_part(0, "hello").substr(0, 14)) == "a pipe: ends at byte 14, within a record");
  for (const std::string& stream : {framed_part(3, "x"), framed_part(2, "x"), framed_part(1, "x") + framed_part(0, "x"),
                                    framed_part(1, "x") + framed_part(1, "x"), framed_part(5, "x")})
    CHECK_THAT(damage_in(stream), Catch::Matchers::Contains("parts of a record are out of their order at byte "));
  CHECK(damage_in(framed_part(1, "four")) == "a pipe: ends within a record that begins at byte 12");
}
