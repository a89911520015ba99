// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/norm.hpp"

#include "kernels/norm/simd.hpp"

#include <algorithm>
#include <cassert>

namespace trireme::kernels {

double block_sum_of_squares(const void* data, DType dtype, std::size_t count, Isa isa) noexcept {
  assert(count <= layout::reduction_block && is_floating(dtype) && is_supported(dtype));
  return isa >= Isa::avx2 ? avx2::block_sum_of_squares(data, dtype, count)
                          : portable::block_sum_of_squares(data, dtype, count);
}

double block_sum(const double* data, std::size_t count, Isa isa) noexcept {
  assert(count <= layout::reduction_block);
  return isa >= Isa::avx2 ? avx2::block_sum(data, count) : portable::block_sum(data, count);
}

double sum_of_squares(const void* data, DType dtype, std::size_t count, Isa isa) noexcept {
  TreeSum blocks;
  const auto* bytes = static_cast<const std::byte*>(data);
  for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
    std::size_t size = std::min(layout::reduction_block, count - begin);
    blocks.add(block_sum_of_squares(bytes + begin * size_of(dtype), dtype, size, isa));
  }
  return blocks.result();
}

double sum(const double* data, std::size_t count, Isa isa) noexcept {
  TreeSum blocks;
  for (std::size_t begin = 0; begin < count; begin += layout::reduction_block) {
    blocks.add(block_sum(data + begin, std::min(layout::reduction_block, count - begin), isa));
  }
  return blocks.result();
}

}  // namespace trireme::kernels
