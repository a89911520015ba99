// SPDX-License-Identifier: Apache-2.0
#include "parallel/fold_elements.hpp"

#include "kernels/reduce/reduce.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace trireme::parallel {

void fill_identity(std::byte* memory, DType dtype, std::size_t count) {
  if (dtype == DType::f64) {
    std::fill_n(reinterpret_cast<double*>(memory), count, -0.0);
  } else {
    std::fill_n(reinterpret_cast<float*>(memory), count, -0.0f);
  }
}

void add_elements(std::byte* left, const std::byte* right, DType dtype, std::size_t count) {
  const std::array<kernels::ReduceSource, 2> sources{kernels::ReduceSource{left, dtype},
                                                     kernels::ReduceSource{right, dtype}};
  constexpr std::array<std::int16_t, 3> program{0, 1, layout::ReductionTree::combine};
  kernels::reduce({.kind = ReduceKind::sum,
                   .accumulator = dtype,
                   .destination = left,
                   .output = dtype,
                   .count = count,
                   .sources = sources,
                   .program = program});
}

}  // namespace trireme::parallel
