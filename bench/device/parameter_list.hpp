// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace trireme::bench {

/// The elements of the 148 parameters of GPT-2 with 124 million of them, in the model's order.
/// Source:  Radford et al., "Language Models are Unsupervised Multitask Learners", 2019: 12 layers of 768 channels, 1024
///          positions, 50257 tokens.
inline std::vector<std::size_t> gpt2_parameters() {
  constexpr std::size_t channels = 768, layers = 12;
  std::vector<std::size_t> counts{50257 * channels, 1024 * channels};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    for (const std::size_t count :
         {channels, channels, channels * 3 * channels, 3 * channels, channels * channels, channels, channels, channels,
          channels * 4 * channels, 4 * channels, 4 * channels * channels, channels})
      counts.push_back(count);
  }
  counts.insert(counts.end(), {channels, channels});
  return counts;
}

/// The same list, every matrix a 256th, and as all of them a multiple of 64: for dry runs.
inline std::vector<std::size_t> small_parameters() {
  auto counts = gpt2_parameters();
  for (std::size_t& count : counts) {
    if (count > 65536) count = count / 256 / 64 * 64;
  }
  return counts;
}

inline std::size_t sum_of(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

}  // namespace trireme::bench
