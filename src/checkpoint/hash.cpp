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

struct Hash::State {
  XXH3_state_t state;
};

Hash::Hash() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->state); }
Hash::~Hash() = default;
void Hash::add(std::span<const std::byte> bytes) { XXH3_64bits_update(&state_->state, bytes.data(), bytes.size()); }
std::uint64_t Hash::value() const { return XXH3_64bits_digest(&state_->state); }

}  // namespace trireme::checkpoint
