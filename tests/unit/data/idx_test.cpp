// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/idx.hpp"

#include "support/failures.hpp"
#include "unit/data/idx_bytes.hpp"
#include "unit/data/temporary_folder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

#include <sys/stat.h>

using namespace trireme;
using namespace trireme::literals;
using data::IdxFile;
using testing::ByteVector;
using testing::counting_bytes;
using testing::error_of;
using testing::gzip;
using testing::idx_bytes;

namespace {

IdxFile parse(const ByteVector& bytes, Bytes limit = data::idx_limit) {
  data::MemorySource source(bytes);
  return IdxFile::parse(source, "some-file", limit);
}

void refuses(const ByteVector& bytes, ErrorCode code, const std::string& word, Bytes limit = data::idx_limit) {
  for (const ByteVector& form : {bytes, gzip(bytes)}) {
    const Error error = error_of([&] { parse(form, limit); });
    CAPTURE(error.message);
    CHECK(error.code == code);
    CHECK_THAT(error.message, Catch::Contains("some-file"));
    CHECK_THAT(error.message, Catch::Contains(word));
    CHECK(error.message.find('\n') == std::string::npos);
  }
}

bool same(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

TEST_CASE("IdxFile reads every rank from 1 to 4, plain and gzipped") {
  const std::vector<std::uint32_t> dimensions =
      GENERATE(values<std::vector<std::uint32_t>>({{7}, {2, 3}, {5, 4, 3}, {2, 3, 4, 5}, {0}, {3, 0}, {0, 28, 28}}));
  std::size_t count = 1;
  for (auto extent : dimensions) count *= extent;
  const ByteVector elements = counting_bytes(count, 251);
  const ByteVector bytes = idx_bytes(dimensions, elements);
  for (const ByteVector& form : {bytes, gzip(bytes)}) {
    const IdxFile file = parse(form);
    REQUIRE(std::equal(file.dimensions().begin(), file.dimensions().end(), dimensions.begin(), dimensions.end()));
    REQUIRE(same(file.elements(), elements));
  }
}

TEST_CASE("IdxFile reads arrays larger than its buffers and gzip files of several members") {
  const ByteVector elements = counting_bytes(3'000'001, 249);
  const ByteVector bytes = idx_bytes({3'000'001}, elements);
  REQUIRE(same(parse(bytes).elements(), elements));
  REQUIRE(same(parse(gzip(bytes)).elements(), elements));
  ByteVector members = gzip(ByteVector(bytes.begin(), bytes.begin() + 6));
  const ByteVector rest = gzip(ByteVector(bytes.begin() + 6, bytes.end()));
  members.insert(members.end(), rest.begin(), rest.end());
  REQUIRE(same(parse(members).elements(), elements));
}

TEST_CASE("IdxFile refuses every truncation of a file and every trailing byte") {
  const ByteVector bytes = idx_bytes({3, 2, 2}, counting_bytes(12));
  for (std::size_t kept = 0; kept < bytes.size(); ++kept) {
    CAPTURE(kept);
    refuses(ByteVector(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(kept)), ErrorCode::corrupt,
            "truncated");
  }
  ByteVector longer = bytes;
  longer.push_back(0);
  refuses(longer, ErrorCode::corrupt, "trailing");
}

TEST_CASE("IdxFile refuses headers that are no IDX, of another type or another rank, by name") {
  ByteVector bytes = idx_bytes({2}, {1, 2});
  SECTION("other magic") {
    bytes[0] = 'P';
    refuses(bytes, ErrorCode::corrupt, "not an IDX file");
  }
  SECTION("unknown element type") {
    bytes[2] = 0x0a;
    refuses(bytes, ErrorCode::corrupt, "element type 10");
  }
  SECTION("known but unsupported element type") {
    const auto [code, name] =
        GENERATE(table<int, std::string>({{0x09, "i8"}, {0x0b, "i16"}, {0x0c, "i32"}, {0x0d, "f32"}, {0x0e, "f64"}}));
    bytes[2] = static_cast<std::uint8_t>(code);
    refuses(bytes, ErrorCode::unsupported, name);
  }
  SECTION("rank 0") { refuses({0, 0, 8, 0}, ErrorCode::corrupt, "rank 0"); }
  SECTION("rank 5") { refuses(idx_bytes({1, 1, 1, 1, 1}, {1}), ErrorCode::unsupported, "rank 5"); }
}

TEST_CASE("IdxFile refuses sizes that overflow or exceed the limit before it asks for memory") {
  refuses(idx_bytes({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {}), ErrorCode::invalid_argument, "limit");
  refuses(idx_bytes({0x80000000, 0x80000000, 4}, {}), ErrorCode::invalid_argument, "limit");
  refuses(idx_bytes({0xffffffff, 2}, {}), ErrorCode::invalid_argument, "4294967296");
  refuses(idx_bytes({11}, counting_bytes(11)), ErrorCode::invalid_argument, "limit of 10 bytes", 10_B);
  REQUIRE(parse(idx_bytes({10}, counting_bytes(10)), 10_B).elements().size() == 10);
  // Within the limit, but the bytes are not there: found without reserving what the header claims.
  refuses(idx_bytes({0xffffffff}, counting_bytes(100)), ErrorCode::corrupt, "truncated");
}

TEST_CASE("IdxFile finds damage anywhere in a gzip file") {
  const ByteVector good = gzip(idx_bytes({40, 10}, counting_bytes(400, 17)));
  const auto refused = [&](const ByteVector& bytes) {
    const Error error = error_of([&] { parse(bytes); });
    CAPTURE(error.message);
    CHECK(error.code != ErrorCode::none);  // damage may show in the IDX header before the checksum is reached
    CHECK_THAT(error.message, Catch::Contains("some-file"));
    return error.code;
  };
  SECTION("cut off anywhere") {
    for (std::size_t kept = 0; kept < good.size(); ++kept) {
      CHECK(refused(ByteVector(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(kept))) == ErrorCode::corrupt);
    }
  }
  SECTION("a flipped bit in the data, the CRC or the length") {
    constexpr std::size_t header = 10;  // its time and system fields are not protected by the format
    for (std::size_t byte = header; byte < good.size(); ++byte) {
      CAPTURE(byte);
      ByteVector bad = good;
      bad[byte] ^= 0x10;
      const ErrorCode code = refused(bad);
      if (byte >= good.size() - 8) CHECK(code == ErrorCode::corrupt);
    }
  }
  SECTION("garbage after the end") {
    ByteVector bad = good;
    bad.insert(bad.end(), {'x', 'y'});
    CHECK(refused(bad) == ErrorCode::corrupt);
  }
}

TEST_CASE("IdxFile names files that are missing, directories or no regular files") {
  const testing::TemporaryFolder folder;
  const ByteVector elements = counting_bytes(6);
  // The name says nothing about compression: the bytes do.
  REQUIRE(same(IdxFile::read(folder.write("plain.gz", idx_bytes({6}, elements))).elements(), elements));
  REQUIRE(same(IdxFile::read(folder.write("packed", gzip(idx_bytes({6}, elements)))).elements(), elements));
  const auto fifo = folder.path() / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  for (const auto& path : {folder.path() / "missing", folder.path(), fifo}) {
    const Error error = error_of([&] { IdxFile::read(path); });
    CAPTURE(error.message);
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_THAT(error.message, Catch::Contains(path.string()));
  }
}
