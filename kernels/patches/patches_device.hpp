// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/patches/patches.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

// The functions of patches.hpp on device memory, with the same bits. They give the work to the queue and return.
namespace trireme::kernels {

template <class T>
void gather_patches(T* patches, const T* x, const PatchShape& shape, device::Queue queue);
/// Cost: a thread per element of x collects what overlaps there.
template <class T>
void scatter_patches(T* x, const T* patches, const PatchShape& shape, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void patches_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
