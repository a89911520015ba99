// SPDX-License-Identifier: Apache-2.0
#include "models/feature_set.hpp"

#include <algorithm>
#include <bit>

namespace trireme::models {
namespace {

constexpr std::size_t word_bits = 64;

std::size_t words_of(std::size_t bits) { return (bits + word_bits - 1) / word_bits; }
std::uint64_t bit_of(std::size_t index) { return std::uint64_t{1} << (index % word_bits); }

/// Calls visit(index) for every bit that is set, ascending, and clears them.
template <class Visit>
void drain(std::uint64_t& word, std::size_t first, Visit visit) {
  for (std::uint64_t left = word; left != 0; left &= left - 1) {
    visit(first + static_cast<std::size_t>(std::countr_zero(left)));
  }
  word = 0;
}

}  // namespace

FeatureSet::FeatureSet(std::size_t features)
    : features_(features), marks_(words_of(features)), summary_(words_of(marks_.size())) {}

void FeatureSet::assign(std::span<const std::uint32_t> indices) {
  ascending_.clear();
  ascending_.reserve(std::min(std::bit_ceil(indices.size()), features_));
  for (const std::uint32_t feature : indices) {
    const std::size_t word = feature / word_bits;
    marks_[word] |= bit_of(feature);
    summary_[word / word_bits] |= bit_of(word);
  }
  for (std::size_t s = 0; s < summary_.size(); ++s) {
    drain(summary_[s], s * word_bits, [&](std::size_t word) {
      drain(marks_[word], word * word_bits,
            [&](std::size_t feature) { ascending_.push_back(static_cast<std::uint32_t>(feature)); });
    });
  }
}

}  // namespace trireme::models
