// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/update.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/update/simd.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cassert>

namespace trireme::kernels {
namespace {

constexpr std::size_t tile = layout::reduction_block;  // elements between conversions; also a block of the sums

std::byte* moved(void* data, std::size_t elements, DType dtype) noexcept {
  return data == nullptr ? nullptr : static_cast<std::byte*>(data) + elements * size_of(dtype);
}

/// `count` elements of the span from `begin` on.
UpdateSpan part_of(const UpdateSpan& span, std::size_t begin, std::size_t count) noexcept {
  UpdateSpan part = span;
  part.parameter = moved(span.parameter, begin, span.dtype);
  part.gradient = static_cast<const std::byte*>(span.gradient) + begin * size_of(span.gradient_dtype);
  for (void*& each : part.state) each = moved(each, begin, span.dtype);
  part.copy = moved(span.copy, begin, span.copy_dtype);
  part.count = count;
  return part;
}

/// A tile's gradient in the span's dtype, widened on the stack if need be.
class WideGradient {
 public:
  WideGradient(UpdateSpan& part, Isa isa) noexcept {
    if (part.gradient_dtype == part.dtype) return;
    cast(wide_, part.dtype, part.gradient, part.gradient_dtype, part.count, isa);
    part.gradient = wide_;
    part.gradient_dtype = part.dtype;
  }

 private:
  alignas(64) double wide_[tile];
};

template <class Constants>
void step(const UpdateSpan& span, const Constants& constants, Isa isa) noexcept {
  isa >= Isa::avx2 ? avx2::update(span, constants) : portable::update(span, constants);
}

template <class Constants>
void run(const UpdateSpan& span, const Constants& constants, Isa isa) noexcept {
  assert(span.dtype == DType::f32 || span.dtype == DType::f64);
  if (span.gradient_dtype == span.dtype && span.copy == nullptr) return step(span, constants, isa);
  for (std::size_t begin = 0; begin < span.count; begin += tile) {
    UpdateSpan part = part_of(span, begin, std::min(tile, span.count - begin));
    const WideGradient wide(part, isa);
    step(part, constants, isa);
    if (part.copy != nullptr) cast(part.copy, part.copy_dtype, part.parameter, part.dtype, part.count, isa);
  }
}

}  // namespace

void update(const UpdateSpan& span, const SgdRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const AdamRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const NadamRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const RmspropRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const AdagradRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const AdadeltaRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const LionRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }
void update(const UpdateSpan& span, const LambRule& rule, Isa isa) noexcept { run(span, constants_of(rule), isa); }

void measure(const UpdateSpan& span, const LambRule& rule, double* block_sums, Isa isa) noexcept {
  const LambConstants constants = constants_of(rule);
  alignas(64) double directions[tile];
  for (std::size_t begin = 0; begin < span.count; begin += tile) {
    UpdateSpan part = part_of(span, begin, std::min(tile, span.count - begin));
    const WideGradient wide(part, isa);
    isa >= Isa::avx2 ? avx2::lamb_directions(part, constants, directions)
                     : portable::lamb_directions(part, constants, directions);
    *block_sums++ = block_sum_of_squares(part.parameter, part.dtype, part.count, isa);
    *block_sums++ = block_sum_of_squares(directions, part.dtype, part.count, isa);
  }
}

}  // namespace trireme::kernels
