// SPDX-License-Identifier: Apache-2.0
#include "kernels/patches/patches.hpp"

#include "kernels/patches/simd.hpp"

namespace trireme::kernels {

template <class T>
void gather_patches(T* patches, const T* x, const PatchShape& shape, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::gather_patches(patches, x, shape) : portable::gather_patches(patches, x, shape);
}

template <class T>
void scatter_patches(T* x, const T* patches, const PatchShape& shape, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::scatter_patches(x, patches, shape) : portable::scatter_patches(x, patches, shape);
}

template void gather_patches(float*, const float*, const PatchShape&, Isa) noexcept;
template void gather_patches(double*, const double*, const PatchShape&, Isa) noexcept;
template void scatter_patches(float*, const float*, const PatchShape&, Isa) noexcept;
template void scatter_patches(double*, const double*, const PatchShape&, Isa) noexcept;

}  // namespace trireme::kernels
