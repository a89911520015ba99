// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace trireme::checkpoint {

/// XXH3, 64 bits, seed 0.
std::uint64_t hash_of(std::span<const std::byte> bytes);
/// Of every `chunk_bytes` of them; the last may be short. None of nothing.
std::vector<std::uint64_t> chunk_hashes(std::span<const std::byte> bytes, std::uint64_t chunk_bytes);

/// hash_of() bytes that come piece by piece.
class Hash {
 public:
  Hash();
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  ~Hash();
  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::checkpoint
