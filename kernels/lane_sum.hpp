// SPDX-License-Identifier: Apache-2.0
// Sums in eight lanes whose brackets no instruction set changes. Included by simd.cpp files only; see formats.hpp for why
// it is closed in itself.
#pragma once

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// Lane j of 8 adds term(i) for i congruent to j mod 8 in ascending order; then ((0+1)+(2+3))+((4+5)+(6+7)), all in f64.
class LaneSum {
 public:
  /// Adds term(0) to term(count-1).  Shape: what was added before is a multiple of 8.
  template <class Term>
  void add(std::size_t count, Term term) {
    double lanes[8];
    for (std::size_t j = 0; j < 8; ++j) lanes[j] = lanes_[j];
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
      for (std::size_t j = 0; j < 8; ++j) lanes[j] += static_cast<double>(term(i + j));
    }
    for (std::size_t j = 0; i < count; ++i, ++j) lanes[j] += static_cast<double>(term(i));
    for (std::size_t j = 0; j < 8; ++j) lanes_[j] = lanes[j];
  }
  double result() const {
    return ((lanes_[0] + lanes_[1]) + (lanes_[2] + lanes_[3])) + ((lanes_[4] + lanes_[5]) + (lanes_[6] + lanes_[7]));
  }

 private:
  double lanes_[8] = {};
};

/// The greatest of the values, NaN left out; -infinity of nothing.
template <class T>
T greatest_of(const T* values, std::size_t count) {
  T lanes[8];
  for (std::size_t j = 0; j < 8; ++j) lanes[j] = static_cast<T>(-__builtin_inf());
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) lanes[j] = values[i + j] > lanes[j] ? values[i + j] : lanes[j];
  }
  for (; i < count; ++i) lanes[0] = values[i] > lanes[0] ? values[i] : lanes[0];
  for (std::size_t j = 1; j < 8; ++j) lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
  return lanes[0];
}

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
