// SPDX-License-Identifier: Apache-2.0
#include "transport/endpoint/frame.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <vector>

using namespace trireme::transport;

namespace {

constexpr std::size_t eager = 8192;
constexpr std::size_t piece = 262144;

/// The rule in words, written a second time: what each frame may say.
bool plausible(const FrameHeader& header) {
  if (header.magic != 0x7254 || header.bytes > (std::uint64_t{1} << 48)) return false;
  switch (static_cast<int>(header.type)) {
    case 1: return header.bytes <= eager && header.inline_bytes == header.bytes;
    case 2:
    case 3:
    case 5: return header.inline_bytes == 0 && header.bytes > eager;
    case 4:
      // A whole piece of the grid, or what is left behind the last whole one.
      if (header.token % piece != 0 || header.token >= header.bytes) return false;
      return header.bytes - header.token >= piece ? header.inline_bytes == piece
                                                  : header.inline_bytes == header.bytes - header.token;
    case 6: return header.inline_bytes == 0;
    default: return false;
  }
}

}  // namespace

TEST_CASE("a header is believed exactly when its type, sizes and offset can be true") {
  const std::vector<std::uint64_t> sizes{0,
                                         1,
                                         eager - 1,
                                         eager,
                                         eager + 1,
                                         piece - 1,
                                         piece,
                                         piece + 1,
                                         1u << 30,
                                         0xffffffffu,
                                         std::uint64_t{1} << 48,
                                         (std::uint64_t{1} << 48) + 1,
                                         ~std::uint64_t{0} - 1,
                                         ~std::uint64_t{0}};
  const std::vector<std::uint32_t> inlined{0, 1, eager - 1, eager, eager + 1, piece - 1, piece, piece + 1, 0xffffffffu};
  std::size_t believed = 0, wrong = 0;
  for (const std::uint16_t magic : {std::uint16_t{0x7254}, std::uint16_t{0}, std::uint16_t{0x5472}}) {
    for (int type = 0; type < 256; ++type) {
      for (const auto bytes : sizes) {
        for (const auto inside : inlined) {
          for (const auto token : sizes) {
            FrameHeader header;
            header.magic = magic;
            header.type = static_cast<FrameType>(type);
            header.bytes = bytes;
            header.inline_bytes = inside;
            header.token = token;
            const bool fine = fault_of(header, eager, piece).empty();
            believed += fine;
            wrong += fine != plausible(header);
          }
        }
      }
    }
  }
  REQUIRE(wrong == 0);
  REQUIRE(believed > 100);
}

TEST_CASE("a header is one cache line whose fields keep their places") {
  static_assert(sizeof(FrameHeader) == 64);
  FrameHeader header;
  header.type = FrameType::data;
  header.flags = 0x11;
  header.communicator = 0x21222324;
  header.index = 0x31323334;
  header.inline_bytes = 0x41424344;
  header.operation = 0x5152535455565758;
  header.bytes = 0x6162636465666768;
  header.token = 0x7172737475767778;
  header.stamp = {{0x81, 0x82, 0x83}};
  const auto bytes = std::bit_cast<std::array<unsigned char, 64>>(header);
  const auto at = [&](std::size_t i) { return static_cast<int>(bytes[i]); };
  REQUIRE(at(0) == 0x54);
  REQUIRE(at(1) == 0x72);
  REQUIRE(at(2) == 4);
  REQUIRE(at(3) == 0x11);
  REQUIRE(at(4) == 0x24);
  REQUIRE(at(8) == 0x34);
  REQUIRE(at(12) == 0x44);
  REQUIRE(at(16) == 0x58);
  REQUIRE(at(24) == 0x68);
  REQUIRE(at(32) == 0x78);
  REQUIRE(at(40) == 0x81);
  REQUIRE(at(48) == 0x82);
  REQUIRE(at(56) == 0x83);
}
