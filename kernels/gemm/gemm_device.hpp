// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/gemm/gemm.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

// The products of gemm.hpp on memory that the device reaches, with the same bits: of f64, for which device::MatrixProduct has none,
// and of f32 wherever elements begin.
namespace trireme::kernels {

/// gemm(call), of f32 or f64. Plain: nobody should wait for it.
/// Cost:    one launch.
/// Errors:  invalid_argument for other types; device.
void gemm(const GemmCall& call, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void gemm_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
