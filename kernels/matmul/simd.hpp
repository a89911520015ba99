// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/matmul/matmul.hpp"

namespace trireme::kernels {

// One definition per instruction set, from the same simd.cpp.
namespace portable {
void matmul(const MatmulCall& call) noexcept;
}
namespace avx2 {
void matmul(const MatmulCall& call) noexcept;
}
namespace avx512 {
void matmul(const MatmulCall& call) noexcept;
}

}  // namespace trireme::kernels
