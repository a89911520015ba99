// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace trireme::data {

/// The output function of SplitMix64: a bijection on 64 bits whose every input bit reaches every output bit.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, as published by S. Vigna.
constexpr std::uint64_t splitmix64_mix(std::uint64_t z) noexcept {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// The `index`-th output (0 is the first) of SplitMix64 started at `key`, without drawing the ones before it: a
/// counter-based generator.
constexpr std::uint64_t splitmix64_at(std::uint64_t key, std::uint64_t index) noexcept {
  return splitmix64_mix(key + (index + 1) * 0x9e3779b97f4a7c15u);
}

/// A key for stream `stream` of `seed`. For one seed, different streams have different keys.
constexpr std::uint64_t stream_key(std::uint64_t seed, std::uint64_t stream) noexcept {
  return splitmix64_mix(splitmix64_at(seed, 0) ^ stream);
}

/// A uniform value of [0, 1) from the upper 53 bits.
constexpr double unit_interval(std::uint64_t bits) noexcept { return static_cast<double>(bits >> 11) * 0x1p-53; }

/// xoshiro256**: 64 random bits per call, the same on every platform and compiler.
/// Source: Blackman, Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47 (2021).
class Xoshiro256StarStar {
 public:
  constexpr explicit Xoshiro256StarStar(const std::array<std::uint64_t, 4>& state) noexcept : state_(state) {}
  /// The first four outputs of SplitMix64 started at `key` as the state, as the authors of xoshiro recommend.
  static constexpr Xoshiro256StarStar seeded(std::uint64_t key) noexcept {
    return Xoshiro256StarStar(
        {splitmix64_at(key, 0), splitmix64_at(key, 1), splitmix64_at(key, 2), splitmix64_at(key, 3)});
  }

  constexpr std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// Uniform in [0, bound) without bias.  Shape: bound > 0.
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
  std::array<std::uint64_t, 4> state_;
};

}  // namespace trireme::data
