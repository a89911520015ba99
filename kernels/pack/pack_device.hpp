// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/pack/pack.hpp"
#include "kernels/rung.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

// pack() and unpack() of pack.hpp on memory that the device reaches, with the same bits.
// Shape:   pointers and offsets aligned to their elements; otherwise as there.
// Cost:    one launch for every 1024 tensors; their list travels with it. Blocks take parts of 16384 elements, whosever they are.
//          Fast: one type throughout, and f32 to and from f16, bf16 and f64.
// Errors:  invalid_argument for a type that is not floating; device.
namespace trireme::kernels {

void pack(const PackCall& call, device::Queue queue, Rung rung = Rung::fast);
void unpack(const PackCall& call, device::Queue queue, Rung rung = Rung::fast);

/// Appends the kernels of this folder, for Runtime::load().
void pack_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
