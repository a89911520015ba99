// SPDX-License-Identifier: Apache-2.0
#pragma once

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

}  // namespace trireme::data
