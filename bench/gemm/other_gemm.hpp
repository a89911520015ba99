// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gemm/gemm.hpp"

#include <string>

namespace trireme::bench {

/// Somebody else's product of matrices of f32, to compare with on one thread; null where none was found.
using OtherGemm = void (*)(const kernels::GemmCall& call);
OtherGemm other_gemm();

/// "openblas_haswell": the library and the kernels it has chosen.
std::string other_gemm_name();

}  // namespace trireme::bench
