// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/sgd/sgd.hpp"

namespace trireme::kernels::reference {

/// As kernels::sgd, one element after the other.
void sgd(const SgdCall& call) noexcept;

}  // namespace trireme::kernels::reference
