// SPDX-License-Identifier: Apache-2.0
// A plain product of matrices on devices, for cuda.cu of whoever launches it.
#pragma once

#include "device/kernel.hpp"
#include "trireme/base/half.hpp"

#include <cmath>
#include <cstddef>

namespace trireme::device {

TRIREME_DEVICE float widen(float value) { return value; }
TRIREME_DEVICE double widen(double value) { return value; }
TRIREME_DEVICE float widen(BFloat16 value) { return to_float(value); }
TRIREME_DEVICE float widen(Float16 value) { return to_float(value); }

/// Elements of a factor, wherever they lie.
template <class Input>
struct Elements {
  const Input* data;
  std::size_t outer;  // from one row of A, or column of B, to the next
  std::size_t inner;  // from one k to the next
};

/// C = alpha A B + beta C, in Sum, each element the chain of fused multiply-adds over k in blocks that are added in order: the bits
/// of kernels/gemm. Sixteen by sixteen threads of 4 x 4 elements; a thread's columns are sixteen apart, so that neighbours read and write
/// neighbouring elements. `Owner`: a type of the file that launches it, so that each file has kernels of its own.
template <class Input, class Sum, class Owner>
struct ProductBody {
  static constexpr const char* name = "trireme_gemm";
  static constexpr unsigned side = 16;
  static constexpr unsigned each = 4;
  static constexpr unsigned tile = side * each;
  static constexpr unsigned threads = side * side;
  static constexpr unsigned phases = 1;
  static constexpr std::size_t k_block = 1024;
  struct Shared {};

  std::size_t m, n, k;
  Elements<Input> a, b;
  Sum* c;
  std::size_t c_stride;
  Sum alpha, beta;
  std::size_t across;  // tiles

  template <unsigned phase>
  TRIREME_DEVICE void run(Place place, Shared&) const {
    const std::size_t tiles = (m + tile - 1) / tile * across;
    for (std::size_t t = place.block; t < tiles; t += place.blocks) one_tile(t / across, t % across, place.thread);
  }

  TRIREME_DEVICE void one_tile(std::size_t down, std::size_t right, unsigned thread) const {
    std::size_t rows[each], columns[each];
    for (unsigned i = 0; i < each; ++i) {
      rows[i] = down * tile + thread / side + i * side;
      columns[i] = right * tile + thread % side + i * side;
    }
    if (rows[0] >= m || columns[0] >= n) return;
    // What lies behind the edge is computed from the last row and column, and not stored.
    const Input *from_a[each], *from_b[each];
    for (unsigned i = 0; i < each; ++i) {
      from_a[i] = a.data + (rows[i] < m ? rows[i] : m - 1) * a.outer;
      from_b[i] = b.data + (columns[i] < n ? columns[i] : n - 1) * b.outer;
    }
    Sum total[each][each] = {};
    for (std::size_t first = 0; first < k; first += k_block) {
      const std::size_t end = k - first < k_block ? k : first + k_block;
      Sum sum[each][each] = {};
      for (std::size_t l = first; l < end; ++l) {
        Sum left[each], top[each];
        for (unsigned i = 0; i < each; ++i) {
          left[i] = widen(from_a[i][l * a.inner]);
          top[i] = widen(from_b[i][l * b.inner]);
        }
        for (unsigned i = 0; i < each; ++i) {
          for (unsigned j = 0; j < each; ++j) sum[i][j] = std::fma(left[i], top[j], sum[i][j]);
        }
      }
      for (unsigned i = 0; i < each; ++i) {
        for (unsigned j = 0; j < each; ++j) total[i][j] = first == 0 ? sum[i][j] : total[i][j] + sum[i][j];
      }
    }
    for (unsigned i = 0; i < each; ++i) {
      for (unsigned j = 0; j < each; ++j) {
        if (rows[i] >= m || columns[j] >= n) continue;
        Sum* to = c + rows[i] * c_stride + columns[j];
        const Sum product = alpha == Sum{1} ? total[i][j] : alpha * total[i][j];
        *to = beta == Sum{0} ? product : product + beta * *to;
      }
    }
  }
};

/// Of a factor with `stride` elements from one stored row to the next; `by_columns`: as B, whose outer index is the column.
template <class Input>
Elements<Input> elements(const void* memory, std::size_t stride, bool transposed, bool by_columns) {
  const auto* data = static_cast<const Input*>(memory);
  return transposed != by_columns ? Elements<Input>{data, 1, stride} : Elements<Input>{data, stride, 1};
}

template <class Body>
void launch_product(Queue queue, Body body) {
  body.across = (body.n + Body::tile - 1) / Body::tile;
  launch(queue, body, blocks_for((body.m + Body::tile - 1) / Body::tile * body.across, 1, 1));
}

}  // namespace trireme::device
