// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::data {

/// Errors: invalid_argument unless it is a probability from 0 to below 1.
void check_dropout(double probability);

/// Masks that are computed whenever they are needed and never kept: element e of a sample is kept, and multiplied
/// by 1/(1 - probability) rounded to T, when word e mod 4 of Philox 4x32-10 at counter {e/4, site + 1, sample} is not below probability 2^32,
/// under the key stream_key(seed, step): the second word is above 0, as in no block of initial values (data::philox_at).
/// Sample is the position in the global batch, so masks know nothing of leaves and ranks; site is the tensor.
class DropoutMask {
 public:
  /// Off.
  DropoutMask() = default;
  /// Row 0 of its calls is the sample at `first_row` of the global batch of step `step`.
  DropoutMask(double probability, std::uint64_t seed, std::uint64_t step, std::uint64_t first_row);

  bool on() const { return threshold_ != 0; }
  /// What a twin on a device computes the same masks from.
  std::uint64_t key() const { return key_; }
  std::uint64_t first_row() const { return first_row_; }
  std::uint32_t threshold() const { return threshold_; }
  double factor() const { return factor_; }

  /// Lays the masks of `rows` samples on; element 0 of every row is the sample's element 0.  T is float or double.
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

}  // namespace trireme::data
