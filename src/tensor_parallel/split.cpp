// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/split.hpp"

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::tensor_parallel {

layout::Interval Split::share(int rank, int ranks) const {
  const layout::Interval units =
      layout::piece({0, extent / unit}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(rank));
  return {units.begin * unit, units.end * unit};
}

std::vector<layout::Interval> Split::ranges(int rank, int ranks) const {
  const layout::Interval mine = share(rank, ranks);
  std::vector<layout::Interval> all;
  if (mine.size() * inner == 0) return all;
  for (std::size_t o = 0; o < outer; ++o)
    all.push_back({(o * extent + mine.begin) * inner, (o * extent + mine.end) * inner});
  return all;
}

void Split::check() const {
  if (unit != 0 && extent % unit == 0) return;
  fail(ErrorCode::invalid_argument, "a dimension of " + std::to_string(extent) + " cannot be shared in units of " +
                                        std::to_string(unit) + ": the unit must divide it");
}

}  // namespace trireme::tensor_parallel
