// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/norm/step_scale.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// Sums of squares of norm.hpp on memory that the device reaches, for lists of tensors, with the same bits, and what a step makes
// of them. All of it stays on the device: the host waits for nothing.
namespace trireme::kernels {

/// Bytes of device memory, aligned to 8, that the functions below need beside their results.
std::size_t norm_workspace_bytes(std::span<const TensorView> tensors);

/// sums[t] = sum_of_squares(tensors[t]), in f64, on the device.
/// Shape:   floating types, mixed as they come; pointers aligned to their elements; empty tensors give +0. `workspace` has
///          norm_workspace_bytes() and belongs to this call until the queue has run it.
/// Cost:    one launch for every 1024 tensors of a type, and one for every 4096 tensors.
/// Errors:  invalid_argument for a type that is not floating; device.
void sums_of_squares(std::span<const TensorView> tensors, double* sums, void* workspace, device::Queue queue);

/// Bytes of device memory, aligned to 8, that sum() needs.
std::size_t sum_workspace_bytes(std::size_t count);

/// *result = sum(data, count) of norm.hpp: an array of f64 (losses, weights).
/// Shape:   `workspace` has sum_workspace_bytes() and belongs to this call until the queue has run it.
/// Cost:    two launches, the second of one block.
/// Errors:  device.
void sum(const double* data, std::size_t count, double* result, void* workspace, device::Queue queue);

/// What a step does with the norm of its gradients.
struct StepNormOptions {
  double gradient_scale = 1.0;  ///< by which gradients are multiplied in any case, as 1 / the scale of the loss
  double clip_norm = 0.0;       ///< of the scaled gradients; 0: no clipping
  bool skip_nonfinite = false;
};

/// What there is to know of a step's gradients. In device memory; `step` is what updates read.
struct StepNorm {
  StepScale step;
  double norm = 0;           ///< of the scaled gradients
  std::uint32_t finite = 1;  ///< whether it is
};

/// norm = sqrt(the balanced tree over sums) * gradient_scale; finite; step.gradient_scale = gradient_scale, times
/// clip_norm / norm where that is finite and above clip_norm; step.skip where it is not finite and such steps are skipped.
/// The operations of the host's step, in its order.
/// Shape:   any number of sums; none: norm 0.
/// Cost:    one launch of one block.
void step_norm(const double* sums, std::size_t count, const StepNormOptions& options, StepNorm* result,
               device::Queue queue);

/// Both, for all gradients of a step, in list order.
void gradient_norm(std::span<const TensorView> gradients, const StepNormOptions& options, StepNorm* result,
                   void* workspace, device::Queue queue);

/// Appends the kernels of this folder, for Runtime::load().
void norm_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
