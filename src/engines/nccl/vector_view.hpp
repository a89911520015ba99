// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/layout/interval.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

namespace trireme::engines::nccl {

/// One vector in memory: contiguous, or the concatenation of the tensors of a group.
class VectorView {
 public:
  VectorView() = default;
  VectorView(std::byte* data, DType dtype) : data_(data), element_(size_of(dtype)) {}
  VectorView(std::span<const TensorView> pieces, DType dtype) : pieces_(pieces), element_(size_of(dtype)) {}

  bool contiguous() const { return pieces_.empty(); }
  std::size_t element() const { return element_; }
  /// Of a contiguous one.
  std::byte* at(std::size_t index) const { return data_ + index * element_; }

  /// Calls use(memory, bytes, bytes of `range` before it) for each contiguous part of `range` that is not empty, in order.
  template <class Use>
  void each(layout::Interval range, Use use) const {
    if (range.size() == 0) return;
    if (contiguous()) return use(at(range.begin), range.size() * element_, std::size_t{0});
    std::size_t begin = 0;
    for (const TensorView& piece : pieces_) {
      const std::size_t from = std::max(begin, range.begin), to = std::min(begin + piece.count, range.end);
      if (from < to) {
        use(static_cast<std::byte*>(piece.data) + (from - begin) * element_, (to - from) * element_,
            (from - range.begin) * element_);
      }
      begin += piece.count;
      if (begin >= range.end) return;
    }
  }

 private:
  std::span<const TensorView> pieces_{};
  std::byte* data_ = nullptr;
  std::size_t element_ = 1;
};

}  // namespace trireme::engines::nccl
