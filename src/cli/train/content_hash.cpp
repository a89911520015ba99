// SPDX-License-Identifier: Apache-2.0
#include "cli/train/content_hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cinttypes>
#include <cstdio>

namespace trireme::cli {

void ContentHash::add(std::span<const std::byte> piece) {
  hash_ = XXH3_64bits_withSeed(piece.data(), piece.size(), hash_);
}

std::string ContentHash::text() const {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016" PRIx64, hash_);
  return digits;
}

}  // namespace trireme::cli
