// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/isa.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/op.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::kernels {

/// One contribution: `count` elements of `dtype`, which is the call's output, partial or any narrow float widened to it.
struct ReduceSource {
  const void* data = nullptr;
  DType dtype = DType::f32;
};

/// Arguments of reduce().
struct ReduceCall {
  ReduceKind kind = ReduceKind::sum;
  DType accumulator = DType::f32;  ///< the type in which values are combined: any but the narrow floats
  void* destination = nullptr;     ///< `count` elements of `output`; may be the memory of one source of that type
  DType output = DType::f32;       ///< the accumulator, or a narrow float (rounded once from f32)
  std::size_t count = 0;
  std::span<const ReduceSource> sources;  ///< each in the accumulator type, or a narrow float when that is f32
  std::span<const std::int16_t> program;  ///< postfix over sources; -1 combines. Every source exactly once
  double divisor = 1.0;  ///< the combined value is divided by it, in the accumulator type, before rounding;
                         ///< 1 divides nothing. Floating types only
  void* also = nullptr;  ///< the result once more: as destination, and may be the memory of another source
};

/// destination[i] = round(combine(program, sources[..][i]) / divisor): elementwise, so the same bits on every Isa and
/// for any split of the range.
/// sum, product: integers wrap. min, max: -0 < +0; a NaN in any source gives a NaN. average: as sum. bool, bytes 0 and
/// 1: min and product are "all", max is "any". Narrow floats are f16, bf16, f8e4m3, f8e5m2.
/// Shape:   up to 64 sources (1024 accepted); any alignment; count 0 is legal. One source: converts, divides.
/// Cost:    reads each source once, writes destination once; no heap, up to 31 KiB of stack.
/// Order:   exactly the program's brackets, left below right.
/// Threads: any; no state.
void reduce(const ReduceCall& call, Isa isa = best_isa()) noexcept;

}  // namespace trireme::kernels
