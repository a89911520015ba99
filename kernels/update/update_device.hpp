// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/norm/step_scale.hpp"
#include "kernels/update/update.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

// The rules of update.hpp on device memory: many tensors in one launch, with the bits of the host from equal state. They
// give the work to the queue and return; `spans` may be gone then.
//
// `scale`, in device memory, takes the place of the spans' gradient_scale; where it says skip, nothing is written. It is read
// when the work runs: the host need not know it.
// Shape:   as UpdateSpan; gradients f64 (of f64), f32, bf16 or f16; copies bf16, f16 or f32, of f32 parameters. Tensors differ
//          in everything but the rule.
// Cost:    one pass; a launch for each 300 tensors of one dtype. 16 bytes at a time where all of a tensor's arrays are aligned.
// Errors:  invalid_argument for other dtypes.
namespace trireme::kernels {

/// `plain`: one launch per tensor and one thread per element, to compare with.
enum class UpdateRung : unsigned char { plain, fast };

#define TRIREME_KERNELS_UPDATE_ON_DEVICE(Rule)                                          \
  void update(std::span<const UpdateSpan> spans, const Rule& rule, device::Queue queue, \
              const StepScale* scale = nullptr, UpdateRung rung = UpdateRung::fast);
TRIREME_KERNELS_UPDATE_ON_DEVICE(SgdRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(AdamRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(NadamRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(RmspropRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(AdagradRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(AdadeltaRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(LionRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(LambRule)
#undef TRIREME_KERNELS_UPDATE_ON_DEVICE

/// parameter = gradient, widened, whatever the span's numbers say; copy = parameter, rounded. With gradient and parameter the
/// same array only the copy is new. No state.
void adopt(std::span<const UpdateSpan> spans, device::Queue queue, UpdateRung rung = UpdateRung::fast);

/// LAMB's first pass, as measure() of the host. Shape: block_sums, in device memory, has 2 values for each block of each span,
/// the spans one after the other; a span is a whole logical tensor.
void measure(std::span<const UpdateSpan> spans, const LambRule& rule, double* block_sums, device::Queue queue,
             const StepScale* scale = nullptr);
/// LARS's: the sums of squares of the parameter, and of gradient_scale*gradient within clip_value.
void measure(std::span<const UpdateSpan> spans, double* block_sums, device::Queue queue,
             const StepScale* scale = nullptr);

/// What block sums become: LAMB's learning_rate*trust_ratio(), at most max_trust, or LARS's local_rate(). See trust.hpp.
struct TrustRule {
  bool local = false;  ///< LARS's
  double learning_rate = 0.0;
  double max_trust = std::numeric_limits<double>::infinity();
  double trust = 0.0;
  double weight_decay = 0.0;
  double epsilon = 0.0;
  friend bool operator==(const TrustRule&, const TrustRule&) = default;
};
/// Adds the block sums of each span up, along the balanced tree, and writes one factor per span, in device memory.
void trust(std::span<const UpdateSpan> spans, const TrustRule& rule, const double* block_sums, double* factors,
           device::Queue queue, const StepScale* scale = nullptr);
/// LAMB's second pass, with factors[i] for the step size of span i.
void update(std::span<const UpdateSpan> spans, const LambRule& rule, const double* factors, device::Queue queue,
            const StepScale* scale = nullptr);
/// LARS's: span i with gradient_scale, clip_value and l2_penalty multiplied by factors[i].
void update(std::span<const UpdateSpan> spans, const SgdRule& rule, const double* factors, device::Queue queue,
            const StepScale* scale = nullptr);

/// Appends the kernels of this folder, for Runtime::load().
void update_kernels(std::vector<const device::KernelEntry*>& kernels);
void trust_kernels(std::vector<const device::KernelEntry*>& kernels);

}  // namespace trireme::kernels
