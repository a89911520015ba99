// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/models/gpt.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::models {

/// Where a mask is laid on: once on the embeddings, three times in every block.
struct DropoutSite {
  static constexpr std::uint32_t embedding = 0;
  static constexpr std::uint32_t attention(std::size_t layer) { return block(layer); }
  static constexpr std::uint32_t projection(std::size_t layer) { return block(layer) + 1; }
  static constexpr std::uint32_t mlp(std::size_t layer) { return block(layer) + 2; }

 private:
  static constexpr std::uint32_t block(std::size_t layer) { return static_cast<std::uint32_t>(1 + 3 * layer); }
};

/// Masks that are computed whenever they are needed and never kept: element e of a sample is kept, and divided by
/// 1 - probability, when word e mod 4 of Philox 4x32-10 at counter {e/4, site, sample} is not below probability 2^32, under
/// the key stream_key(seed, step). Sample is the position in the global batch, so masks know nothing of leaves and ranks.
class Dropout {
 public:
  Dropout() = default;
  Dropout(double probability, std::uint64_t seed, const SamplePlace& place);

  bool on() const { return threshold_ != 0; }

  /// Lays the masks of `rows` samples on; element 0 of every row is the sample's element 0.
  template <class T>
  void apply(T* values, std::size_t rows, std::size_t count, std::uint32_t site) const noexcept;

  /// to[i] = from[i], masked as element begin + i of the call's row `row`; `to` may be `from`.
  template <class T>
  void apply(T* to, const T* from, std::size_t row, std::size_t begin, std::size_t count,
             std::uint32_t site) const noexcept;

 private:
  std::uint64_t key_ = 0;
  std::uint64_t first_row_ = 0;
  std::uint32_t threshold_ = 0;  // 0: off
  double factor_ = 1.0;
};

}  // namespace trireme::models
