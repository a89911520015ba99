// SPDX-License-Identifier: Apache-2.0
#include "gemm/other_gemm.hpp"

namespace trireme::bench {

OtherGemm other_gemm() { return nullptr; }
std::string other_gemm_name() { return {}; }

}  // namespace trireme::bench
