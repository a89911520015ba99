// SPDX-License-Identifier: Apache-2.0
#include "kernels/pack/pack.hpp"

#include "kernels/cast/cast.hpp"
#include "kernels/fold/fold.hpp"

#include <algorithm>

namespace trireme::kernels {
namespace {

std::byte* element(void* memory, DType dtype, std::size_t index) {
  return static_cast<std::byte*>(memory) + index * size_of(dtype);
}

void convert(void* destination, DType to, const void* source, DType from, double factor, std::size_t count,
             Isa isa) noexcept {
  if (factor == 1.0) {
    cast(destination, to, source, from, count, isa);
    return;
  }
  const DType wide = accumulator_of(from);
  if (to == wide) return scale(destination, source, from, factor, count, isa);
  constexpr std::size_t chunk = 512;
  alignas(64) double scaled[chunk];
  const auto* bytes = static_cast<const std::byte*>(source);
  for (std::size_t begin = 0; begin < count; begin += chunk) {
    const std::size_t size = std::min(chunk, count - begin);
    scale(scaled, bytes + begin * size_of(from), from, factor, size, isa);
    cast(element(destination, to, begin), to, scaled, wide, size, isa);
  }
}

}  // namespace

void pack(const PackCall& call, Isa isa) noexcept {
  for (const PackedTensor& tensor : call.tensors) {
    convert(element(call.buffer, call.buffer_dtype, tensor.offset), call.buffer_dtype, tensor.data, call.tensor_dtype,
            call.scale, tensor.count, isa);
  }
}

void unpack(const PackCall& call, Isa isa) noexcept {
  for (const PackedTensor& tensor : call.tensors) {
    convert(tensor.data, call.tensor_dtype, element(call.buffer, call.buffer_dtype, tensor.offset), call.buffer_dtype,
            call.scale, tensor.count, isa);
  }
}

}  // namespace trireme::kernels
