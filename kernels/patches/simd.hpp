// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/patches/patches.hpp"

// One definition per instruction set, from the same simd.cpp.
namespace trireme::kernels::portable {
void gather_patches(float* patches, const float* x, const PatchShape& shape) noexcept;
void gather_patches(double* patches, const double* x, const PatchShape& shape) noexcept;
void scatter_patches(float* x, const float* patches, const PatchShape& shape) noexcept;
void scatter_patches(double* x, const double* patches, const PatchShape& shape) noexcept;
}  // namespace trireme::kernels::portable
namespace trireme::kernels::avx2 {
void gather_patches(float* patches, const float* x, const PatchShape& shape) noexcept;
void gather_patches(double* patches, const double* x, const PatchShape& shape) noexcept;
void scatter_patches(float* x, const float* patches, const PatchShape& shape) noexcept;
void scatter_patches(double* x, const double* patches, const PatchShape& shape) noexcept;
}  // namespace trireme::kernels::avx2
