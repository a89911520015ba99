// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace trireme::cli {

/// XXH3 of pieces of data, each with the hash of those before it as its seed: tells data sets of one size apart.
class ContentHash {
 public:
  void add(std::span<const std::byte> piece);
  /// 16 hexadecimal digits.
  std::string text() const;

 private:
  std::uint64_t hash_ = 0;
};

}  // namespace trireme::cli
