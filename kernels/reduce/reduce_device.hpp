// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/reduce/reduce.hpp"
#include "kernels/rung.hpp"
#include "trireme/device/runtime.hpp"

#include <vector>

namespace trireme::kernels {

/// reduce() of reduce.hpp on memory that the device reaches, with the same bits. Sources and program travel with the launch.
/// Shape:   up to 1024 sources, each once, in programs on which no more than 64 values wait; pointers aligned to their elements.
/// Cost:    one launch. Fast: sums of sources of one type: f64, f32, f16, bf16 to itself, the two of 16 bits to and from f32,
///          integers of 32 and 64 bits; up to 8 sources in any brackets, up to 64 in those of a tree that halves
///          (grouped_program.hpp). The rest is plain.
/// Errors:  invalid_argument for more sources, or a program that is none; device.
void reduce(const ReduceCall& call, device::Queue queue, Rung rung = Rung::fast);

/// Appends the kernels of this folder, for Runtime::load().
void reduce_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
