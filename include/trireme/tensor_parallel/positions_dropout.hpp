// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/dropout_mask.hpp"
#include "trireme/tensor_parallel/axis.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::tensor_parallel {

/// Where rows of `length` positions of `channels` elements lie that the ranks of an axis share by positions.
struct PositionsShape {
  std::size_t rows = 0;
  std::size_t length = 0;
  std::size_t channels = 0;
  Split split() const { return {1, rows * length, channels}; }
};

/// Lays dropout on this rank's positions, forward and backward alike: element (position in its row) channels + c of row
/// r's mask falls on what stands there in the logical tensor, so that the mask is the one of the whole, on any number of ranks.
/// Shape: `share` this rank's share of shape.split(); T is float or double.  Cost: nothing sent.
template <class T>
void positions_dropout(const Axis& axis, const PositionsShape& shape, const data::DropoutMask& mask, std::uint32_t site,
                       T* share);

extern template void positions_dropout(const Axis&, const PositionsShape&, const data::DropoutMask&, std::uint32_t,
                                       float*);
extern template void positions_dropout(const Axis&, const PositionsShape&, const data::DropoutMask&, std::uint32_t,
                                       double*);

}  // namespace trireme::tensor_parallel
