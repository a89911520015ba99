// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/reference.hpp"

#include "kernels/cast/reference.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace trireme::kernels::reference {
namespace {

template <class Term>
double sum_terms(std::size_t count, Term term) {
  std::vector<double> blocks;
  for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
    std::size_t end = std::min(count, begin + layout::reduction_block);
    double lanes[8] = {};
    for (std::size_t i = begin; i < end; ++i) lanes[(i - begin) % 8] += term(i);
    blocks.push_back(tree_sum(lanes));
  }
  return blocks.empty() ? 0.0 : tree_sum(blocks);
}

}  // namespace

double tree_sum(std::span<const double> values) {
  if (values.size() == 1) return values[0];
  std::size_t split = std::bit_floor(values.size() - 1);
  return tree_sum(values.first(split)) + tree_sum(values.subspan(split));
}

double sum_of_squares(const void* data, DType dtype, std::size_t count) {
  return sum_terms(count, [&](std::size_t i) {
    double value = load(data, dtype, i);
    return value * value;
  });
}

double sum(const double* data, std::size_t count) {
  return sum_terms(count, [&](std::size_t i) { return data[i]; });
}

}  // namespace trireme::kernels::reference
