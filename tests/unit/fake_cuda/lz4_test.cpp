// SPDX-License-Identifier: Apache-2.0
#include "support/fake_cuda/fat_binary.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace {

template <class T>
void put(std::vector<unsigned char>& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// A fat binary with one entry of PTX; its parts lie as trireme::testing::ptx_of reads them.
struct FatBinary {
  FatBinary(const std::string& stored, std::uint64_t flags, std::size_t plain_bytes, std::uint16_t kind = 1)
      : data(16 + 64 + stored.size()) {
    put<std::uint32_t>(data, 0, 0xba55ed50);
    put<std::uint16_t>(data, 4, 1);
    put<std::uint16_t>(data, 6, 16);
    put<std::uint64_t>(data, 8, 64 + stored.size());
    put<std::uint16_t>(data, 16, kind);
    put<std::uint32_t>(data, 16 + 4, 64);
    put<std::uint64_t>(data, 16 + 8, stored.size());
    put<std::uint32_t>(data, 16 + 16, static_cast<std::uint32_t>(stored.size()));
    put<std::uint64_t>(data, 16 + 40, flags);
    put<std::uint64_t>(data, 16 + 56, plain_bytes);
    std::memcpy(data.data() + 80, stored.data(), stored.size());
    wrapper = {0x466243b1, 1, data.data()};
  }
  std::vector<unsigned char> data;
  struct {
    std::uint32_t magic, version;
    const void* data;
  } wrapper{};
};

std::string text_of(const FatBinary& binary) { return trireme::testing::ptx_of(&binary.wrapper); }

}  // namespace

TEST_CASE("PTX is found plain and compressed with LZ4, as nvcc of CUDA 12 does") {
  CHECK(text_of({"abc", 0x11, 0}) == "abc");
  // Literals "ab", then 18 bytes from 2 before (a length in two bytes), then the last literals.
  const std::string packed(
      "\x2f"
      "ab"
      "\x02\x00"
      "\xff\x00"
      "\x10"
      "!",
      9);
  CHECK(text_of({packed, 0x2011, 2 + 274 + 1}) == [] {
    std::string text;
    for (int k = 0; k < 138; ++k) text += "ab";
    return text + "!";
  }());
}

TEST_CASE("a fat binary that is broken or has no PTX is refused") {
  CHECK_THROWS_WITH(text_of({"abc", 0x11, 0, 2}), Catch::Contains("without PTX"));
  CHECK_THROWS_WITH(text_of({std::string("\x20"
                                         "a",
                                         2),
                             0x2011, 9}),
                    Catch::Contains("ends in the middle"));
  CHECK_THROWS_WITH(text_of({std::string("\x10"
                                         "a\x05\x00",
                                         4),
                             0x2011, 9}),
                    Catch::Contains("LZ4"));
  CHECK_THROWS_WITH(text_of({"no zstd frame", 0x8011, 9}), Catch::Contains("zstd"));
  FatBinary other("abc", 0x11, 0);
  other.wrapper.magic = 1;
  CHECK_THROWS_WITH(text_of(other), Catch::Contains("no fat binary"));
}
