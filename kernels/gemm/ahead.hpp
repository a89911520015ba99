// SPDX-License-Identifier: Apache-2.0
// Memory that is asked for before it is needed. Included by gemm/simd.cpp only.
#pragma once

#include "kernels/formats.hpp"

// Sanitizers leave out the loop over products, which they would make 20 times slower; what it may touch, its callers, whom
// they see, have made room for. Tests put guards around what it writes. All that is inlined there must say so as well: GCC
// 12 crashes on what it has instrumented.
#if defined(__clang__)
#define TRIREME_GEMM_TILE_ATTRIBUTES __attribute__((no_sanitize("address", "undefined", "thread")))
#else
#define TRIREME_GEMM_TILE_ATTRIBUTES __attribute__((no_sanitize("address,undefined,thread")))
#endif

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// Cache lines of rows that a later tile reads, one for each product, so that no queue of the processor is ever full of
/// them. They go to the second-level cache: the first holds what this tile reads.
template <class T>
struct ReadAhead {
  static constexpr std::size_t elements = 64 / sizeof(T);  ///< of a line

  const T* next = nullptr;
  std::size_t count = 0;  ///< lines to come
  std::size_t left = 0;   ///< of this row
  std::size_t run = 0;    ///< of a row
  std::size_t jump = 0;   ///< elements from behind a row to the next one

  /// Part `part` of `parts` about equal ones of `rows` by `columns` elements, at most `most` lines.
  static ReadAhead share(const T* from, std::size_t stride, std::size_t rows, std::size_t columns, std::size_t part,
                         std::size_t parts, std::size_t most) {
    const std::size_t run = (columns + elements - 1) / elements, total = rows * run;
    const std::size_t first = total * part / parts, count = total * (part + 1) / parts - first;
    const std::size_t row = first / run, behind = first - row * run;
    return {from + row * stride + behind * elements, count < most ? count : most, run - behind, run,
            stride - run * elements};
  }

  [[gnu::always_inline]] TRIREME_GEMM_TILE_ATTRIBUTES void step() {
    --count;
    __builtin_prefetch(next, 0, 2);
    next += elements;
    if (--left == 0) {
      next += jump;
      left = run;
    }
  }
};

/// Rows of C that this tile writes when its products are done, one for each product.
template <class T>
struct WriteAhead {
  const T* next = nullptr;
  std::size_t stride = 0;
  std::size_t last = 0;   ///< of a row's elements, of which there are two lines at most
  std::size_t count = 0;  ///< rows to come

  [[gnu::always_inline]] TRIREME_GEMM_TILE_ATTRIBUTES void step() {
    --count;
    __builtin_prefetch(next, 1);
    __builtin_prefetch(next + last, 1);
    next += stride;
  }
};

}  // namespace
}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
