// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/adamw/adamw.hpp"

namespace trireme::kernels::reference {

/// As kernels::adamw, one element after the other.
void adamw(const AdamWCall& call) noexcept;

}  // namespace trireme::kernels::reference
