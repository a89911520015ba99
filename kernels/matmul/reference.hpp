// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/matmul/matmul.hpp"

namespace trireme::kernels::reference {

/// As kernels::matmul, one element after the other.
void matmul(const MatmulCall& call) noexcept;

}  // namespace trireme::kernels::reference
