// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pack/pack.hpp"

namespace trireme::kernels::reference {

/// As kernels::pack and kernels::unpack, one element after the other.
void pack(const PackCall& call) noexcept;
void unpack(const PackCall& call) noexcept;

}  // namespace trireme::kernels::reference
