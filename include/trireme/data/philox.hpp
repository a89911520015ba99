// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace trireme::data {

/// Philox 4x32 of ten rounds: a bijection on 128 bits for every key of 64, whose outputs over distinct counters pass as
/// independent random words. A function of (counter, key) alone: any word of any stream without the ones before it.
/// Shape:  words lowest first; the key's low half is word 0.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::uint64_t key) noexcept {
  auto key0 = static_cast<std::uint32_t>(key);
  auto key1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xd2511f53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xcd9e8d57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return counter;
}

/// philox_at(key, 2b) and philox_at(key, 2b + 1) at once: the four words of block b in pairs.
constexpr std::array<std::uint64_t, 2> philox_pair(std::uint64_t key, std::uint64_t b) noexcept {
  const auto words = philox4x32({static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(b >> 32), 0, 0}, key);
  return {words[0] | std::uint64_t{words[1]} << 32, words[2] | std::uint64_t{words[3]} << 32};
}

/// Word `index` of the stream `key`: with j = index mod 2, the words 2j and 2j + 1, the low half first, of Philox 4x32-10
/// at the counter index/2, rounded down, which fills the two low of its four words. Whoever wants words in a row takes
/// philox_pair() or a PhiloxStream.
constexpr std::uint64_t philox_at(std::uint64_t key, std::uint64_t index) noexcept {
  return philox_pair(key, index / 2)[index % 2];
}

/// The words philox_at(key, 0), philox_at(key, 1), ... in turn.
/// Cost:    ten rounds per two words.
/// Threads: one at a time.
class PhiloxStream {
 public:
  constexpr explicit PhiloxStream(std::uint64_t key) noexcept : key_(key) {}

  constexpr std::uint64_t next() noexcept {
    const std::size_t j = index_ % 2;
    if (j == 0) pair_ = philox_pair(key_, index_ / 2);
    ++index_;
    return pair_[j];
  }

  /// Uniform in [0, bound) without bias, from the upper halves of one or more words.  Shape: bound > 0.
  /// Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).
  constexpr std::uint32_t below(std::uint32_t bound) noexcept {
    std::uint64_t product = (next() >> 32) * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t threshold = (0u - bound) % bound;
      while (static_cast<std::uint32_t>(product) < threshold) product = (next() >> 32) * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

 private:
  std::uint64_t key_;
  std::uint64_t index_ = 0;
  std::array<std::uint64_t, 2> pair_{};  // of the word before index_
};

}  // namespace trireme::data
