// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/sgd/sgd.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void sgd(const SgdCall& call) noexcept;
}
namespace trireme::kernels::avx2 {
void sgd(const SgdCall& call) noexcept;
}
