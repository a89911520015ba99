// SPDX-License-Identifier: Apache-2.0
#include "parallel/row_union.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace trireme::parallel {

void RowUnion::clear() {
  all_ = false;
  rows_.clear();
}

void RowUnion::exchange(Communicator& communicator, std::span<const std::uint32_t> mine,
                        std::span<const std::size_t> touched, const CallOptions& options) {
  clear();
  all_ = 2 * *std::max_element(touched.begin(), touched.end()) > count_;
  if (all_) return;
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  const std::size_t indices = std::accumulate(touched.begin(), touched.end(), std::size_t{0});
  if (ranks == 1 || indices == 0) {
    rows_.assign(mine.begin(), mine.end());
    return;
  }
  if (indices <= ranks * words_.size()) {
    gathered_.resize(indices);
    communicator.all_gather(ConstTensorView(mine), TensorView(std::span(gathered_)), touched, options);
    mark(gathered_);
  } else {
    mark(mine);
    gathered_.resize(ranks * words_.size());
    communicator.all_gather(std::span<const std::uint32_t>(words_), std::span(gathered_), options);
    for (std::size_t r = 0; r < ranks; ++r) {
      if (r == own) continue;
      for (std::size_t w = 0; w < words_.size(); ++w) words_[w] |= gathered_[r * words_.size() + w];
    }
  }
  collect();
  all_ = 2 * rows_.size() > count_;
}

void RowUnion::mark(std::span<const std::uint32_t> rows) {
  for (const std::uint32_t row : rows) words_[row / 32] |= std::uint32_t{1} << (row % 32);
}

void RowUnion::collect() {
  for (std::size_t w = 0; w < words_.size(); ++w) {
    for (std::uint32_t bits = std::exchange(words_[w], 0u); bits != 0; bits &= bits - 1)
      rows_.push_back(static_cast<std::uint32_t>(32 * w) + static_cast<std::uint32_t>(std::countr_zero(bits)));
  }
}

}  // namespace trireme::parallel
