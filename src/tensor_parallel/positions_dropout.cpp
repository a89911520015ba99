// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/positions_dropout.hpp"

#include <algorithm>

namespace trireme::tensor_parallel {

template <class T>
void positions_dropout(const Axis& axis, const PositionsShape& shape, const data::DropoutMask& mask, std::uint32_t site,
                       T* share) {
  if (!mask.on()) return;
  const layout::Interval mine = axis.share(shape.split());
  for (std::size_t position = mine.begin; position < mine.end;) {
    const std::size_t row = position / shape.length, in_row = position % shape.length;
    const std::size_t positions = std::min(shape.length - in_row, mine.end - position);
    const std::size_t count = positions * shape.channels;
    mask.apply(share, share, row, in_row * shape.channels, count, site);
    share += count;
    position += positions;
  }
}

template void positions_dropout(const Axis&, const PositionsShape&, const data::DropoutMask&, std::uint32_t, float*);
template void positions_dropout(const Axis&, const PositionsShape&, const data::DropoutMask&, std::uint32_t, double*);

}  // namespace trireme::tensor_parallel
