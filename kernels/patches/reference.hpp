// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/patches/patches.hpp"

namespace trireme::kernels::reference {

// As the functions of patches.hpp, one element after the other; equal in bits.
template <class T>
void gather_patches(T* patches, const T* x, const PatchShape& shape);
template <class T>
void scatter_patches(T* x, const T* patches, const PatchShape& shape);

}  // namespace trireme::kernels::reference
