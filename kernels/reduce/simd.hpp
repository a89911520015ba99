// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/reduce/reduce.hpp"

namespace trireme::kernels {

/// A ReduceCall in plain pointers, checked and measured by reduce().
struct ReduceTask {
  ReduceKind kind;  ///< average is sum
  DType accumulator;
  DType output;
  void* destination;
  std::size_t count;
  const ReduceSource* sources;
  const std::int16_t* program;
  std::size_t program_size;
  std::size_t intermediates;  ///< combined values on the stack at most at a time
  double divisor;
  void* also;  ///< null: one destination
};

/// Values on the evaluation stack at most at a time: what 1024 sources can need in any brackets.
inline constexpr std::size_t reduce_stack_limit = 1024;

// One definition per instruction set, from the same simd.cpp.
namespace portable {
void reduce(const ReduceTask& task) noexcept;
}
namespace avx2 {
void reduce(const ReduceTask& task) noexcept;
}
namespace avx512 {
void reduce(const ReduceTask& task) noexcept;
}

}  // namespace trireme::kernels
