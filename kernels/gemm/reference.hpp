// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gemm/gemm.hpp"

namespace trireme::kernels::reference {

/// As kernels::gemm, one element after the other, without a workspace.
void gemm(const GemmCall& call) noexcept;

}  // namespace trireme::kernels::reference
