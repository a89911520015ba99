// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace trireme::checkpoint {

std::uint64_t hash_of(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::vector<std::uint64_t> chunk_hashes(std::span<const std::byte> bytes, std::uint64_t chunk_bytes) {
  std::vector<std::uint64_t> hashes;
  hashes.reserve((bytes.size() + chunk_bytes - 1) / chunk_bytes);
  for (std::size_t begin = 0; begin < bytes.size(); begin += chunk_bytes)
    hashes.push_back(hash_of(bytes.subspan(begin, std::min<std::size_t>(chunk_bytes, bytes.size() - begin))));
  return hashes;
}

}  // namespace trireme::checkpoint
