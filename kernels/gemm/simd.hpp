// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gemm/gemm.hpp"

namespace trireme::kernels {

// One definition per instruction set, from the same simd.cpp.
namespace portable {
void gemm(const GemmCall& call, void* workspace) noexcept;
}
namespace avx2 {
void gemm(const GemmCall& call, void* workspace) noexcept;
}
namespace avx512 {
void gemm(const GemmCall& call, void* workspace) noexcept;
}

}  // namespace trireme::kernels
