// SPDX-License-Identifier: Apache-2.0
// The tensors of one launch, and how the threads of a block read and write their elements. For cuda.cu and cuda_trust.cu.
#pragma once

#include "device/kernel.hpp"
#include "kernels/device_formats.hpp"
#include "kernels/norm/step_scale.hpp"
#include "kernels/update/update.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace trireme::kernels::on_device {

/// What a block takes at a time: a block of the sums, too.
inline constexpr unsigned chunk = 4096;
inline constexpr unsigned tensors_of_launch = 300;

/// An UpdateSpan as it travels in a body.
struct BatchTensor {
  void* parameter;
  const void* gradient;
  std::array<void*, 3> state;
  void* copy;
  std::size_t count;
  double gradient_scale, clip_value, l2_penalty, keep;
  std::uint32_t first_chunk;  ///< its place among the chunks of the launch
  std::uint32_t place;        ///< of its factor, or of its first block's sums
  DType gradient_dtype, copy_dtype;
  bool aligned;  ///< every array may be read and written by 4 elements
};

struct Batch {
  const StepScale* scale;
  const double* factors;
  std::uint32_t count;
  std::uint32_t chunks;
  std::array<BatchTensor, tensors_of_launch> tensors;
};

/// A body's table is filled from what fits: calls launch(batch) as often as needed for all spans of `dtype`. `in_blocks`: a
/// tensor's place is its first block among those of all spans, otherwise the span's.
template <class Launch>
void for_batches(std::span<const UpdateSpan> spans, DType dtype, bool in_blocks, Batch& batch, const Launch& launch) {
  const auto aligned = [](const void* data, std::size_t element) {
    const std::size_t bytes = 4 * element < 16 ? 4 * element : 16;
    return reinterpret_cast<std::uintptr_t>(data) % bytes == 0;
  };
  batch.count = 0;
  batch.chunks = 0;
  std::size_t place = 0;
  for (const UpdateSpan& span : spans) {
    const std::size_t chunks = (span.count + chunk - 1) / chunk;
    const std::size_t own = place;
    place += in_blocks ? chunks : 1;
    if (span.dtype != dtype || chunks == 0) continue;
    if (batch.count == tensors_of_launch || batch.chunks + chunks > 0x7fffffff) {
      launch(batch);
      batch.count = 0;
      batch.chunks = 0;
    }
    const std::size_t element = size_of(dtype);
    bool whole = aligned(span.parameter, element) && aligned(span.gradient, size_of(span.gradient_dtype)) &&
                 aligned(span.copy, size_of(span.copy_dtype));
    for (const void* each : span.state) whole = whole && aligned(each, element);
    batch.tensors[batch.count++] = {span.parameter,
                                    span.gradient,
                                    span.state,
                                    span.copy,
                                    span.count,
                                    span.gradient_scale,
                                    span.clip_value,
                                    span.l2_penalty,
                                    span.keep,
                                    batch.chunks,
                                    static_cast<std::uint32_t>(own),
                                    span.gradient_dtype,
                                    span.copy_dtype,
                                    whole};
    batch.chunks += static_cast<std::uint32_t>(chunks);
  }
  if (batch.count != 0) launch(batch);
}

/// Errors: invalid_argument for dtypes that no kernel has.
inline void check_dtypes(std::span<const UpdateSpan> spans) {
  for (const UpdateSpan& span : spans) {
    const DType gradient = span.gradient_dtype;
    const bool known =
        gradient == span.dtype || gradient == DType::f32 || gradient == DType::bf16 || gradient == DType::f16;
    if ((span.dtype != DType::f32 && span.dtype != DType::f64) || !known) {
      fail(ErrorCode::invalid_argument, "update on a device: parameters of " + std::string(name_of(span.dtype)) +
                                            " with gradients of " + std::string(name_of(gradient)));
    }
    const bool rounded =
        span.copy_dtype == DType::bf16 || span.copy_dtype == DType::f16 || span.copy_dtype == DType::f32;
    if (span.copy != nullptr && (span.dtype != DType::f32 || !rounded)) {
      fail(ErrorCode::invalid_argument, "update on a device: parameters of " + std::string(name_of(span.dtype)) +
                                            " copied as " + std::string(name_of(span.copy_dtype)));
    }
  }
}

/// The tensor of a chunk: the last that begins at or before it.
TRIREME_DEVICE const BatchTensor& tensor_of(const Batch& batch, std::uint32_t which) {
  std::uint32_t low = 0, high = batch.count;
  while (high - low > 1) {
    const std::uint32_t middle = (low + high) / 2;
    if (batch.tensors[middle].first_chunk <= which) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return batch.tensors[low];
}

// Four elements of one thread. In `whole` groups they lie side by side; otherwise `stride` apart, those from `end` on missing.

struct Four {
  std::size_t first;
  std::size_t stride;
  std::size_t end;
  bool whole;
};

template <class Raw>
struct alignas(sizeof(Raw) * 4 < 16 ? sizeof(Raw) * 4 : 16) Quad {
  Raw of[4];
};

template <class Format, class T>
TRIREME_DEVICE void read(const void* from, const Four& at, T (&to)[4]) {
  using Raw = typename Format::Raw;
  const auto* raw = static_cast<const Raw*>(from);
  if (at.whole) {
    const auto quad = *reinterpret_cast<const Quad<Raw>*>(raw + at.first);
    for (int k = 0; k < 4; ++k) to[k] = static_cast<T>(Format::widen(quad.of[k]));
    return;
  }
  for (int k = 0; k < 4; ++k) {
    const std::size_t i = at.first + static_cast<std::size_t>(k) * at.stride;
    to[k] = i < at.end ? static_cast<T>(Format::widen(raw[i])) : T(0);
  }
}

/// One store, or two of f64.
template <class Raw>
TRIREME_DEVICE void store_quad(void* to, const Quad<Raw>& quad) {
  if constexpr (sizeof quad == sizeof(device::Words2)) {
    device::Words2 words;
    __builtin_memcpy(&words, &quad, sizeof words);
    device::store(static_cast<device::Words2*>(to), words);
  } else {
    device::Words4 words[sizeof quad / sizeof(device::Words4)];
    __builtin_memcpy(&words, &quad, sizeof words);
    for (std::size_t k = 0; k < sizeof words / sizeof(device::Words4); ++k)
      device::store(static_cast<device::Words4*>(to) + k, words[k]);
  }
}

template <class Format, class T>
TRIREME_DEVICE void write(void* to, const Four& at, const T (&from)[4]) {
  using Raw = typename Format::Raw;
  auto* raw = static_cast<Raw*>(to);
  if (at.whole) {
    Quad<Raw> quad;
    for (int k = 0; k < 4; ++k) quad.of[k] = Format::narrow(from[k]);
    store_quad(raw + at.first, quad);
    return;
  }
  for (int k = 0; k < 4; ++k) {
    const std::size_t i = at.first + static_cast<std::size_t>(k) * at.stride;
    if (i < at.end) raw[i] = Format::narrow(from[k]);
  }
}

template <class T>
struct FormatOf;
template <>
struct FormatOf<float> {
  using Format = F32;
};
template <>
struct FormatOf<double> {
  using Format = F64;
};

template <class T>
TRIREME_DEVICE void read_gradient(const BatchTensor& tensor, const Four& at, T (&to)[4]) {
  switch (tensor.gradient_dtype) {
    case DType::bf16: return read<BF16>(tensor.gradient, at, to);
    case DType::f16: return read<F16>(tensor.gradient, at, to);
    case DType::f32: return read<F32>(tensor.gradient, at, to);
    default: return read<typename FormatOf<T>::Format>(tensor.gradient, at, to);
  }
}

TRIREME_DEVICE void write_copy(const BatchTensor& tensor, const Four& at, const float (&from)[4]) {
  if (tensor.copy == nullptr) return;
  switch (tensor.copy_dtype) {
    case DType::bf16: return write<BF16>(tensor.copy, at, from);
    case DType::f16: return write<F16>(tensor.copy, at, from);
    default: return write<F32>(tensor.copy, at, from);
  }
}
TRIREME_DEVICE void write_copy(const BatchTensor&, const Four&, const double (&)[4]) {}

/// A tensor's numbers as the threads of one launch use them.
template <class T>
struct Scalars {
  T gradient_scale, clip_value, l2_penalty, keep;
  bool penalised;

  /// `factor` as LARS has it; 1 changes nothing.
  TRIREME_DEVICE Scalars(const BatchTensor& tensor, const StepScale* step, double factor)
      : gradient_scale(static_cast<T>((step != nullptr ? step->gradient_scale : tensor.gradient_scale) * factor)),
        clip_value(static_cast<T>(tensor.clip_value * factor)),
        l2_penalty(static_cast<T>(tensor.l2_penalty * factor)),
        keep(static_cast<T>(tensor.keep)),
        penalised(tensor.l2_penalty * factor != 0.0) {}

  TRIREME_DEVICE T gradient(T g, T p) const {
    g = g * gradient_scale;
    g = g > clip_value ? clip_value : g;
    g = g < -clip_value ? -clip_value : g;
    return penalised ? g + l2_penalty * p : g;
  }
};

}  // namespace trireme::kernels::on_device
