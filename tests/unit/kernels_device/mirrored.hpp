// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/update/update.hpp"
#include "support/device_under_test.hpp"
#include "trireme/base/dtype.hpp"

#include <cstring>
#include <span>
#include <vector>

namespace trireme::testing {

/// Tensors to update, in host memory and in device memory alike, byte for byte and with the same alignment.
class Mirrored {
 public:
  struct Kind {
    DType dtype = DType::f32;
    DType gradient = DType::f32;
    int states = 0;
    bool has_copy = false;
    DType copy = DType::bf16;
    std::size_t offset = 0;  ///< elements from an aligned place
  };

  /// Room for a tensor, filled: parameters and gradients in (-2, 2), states in [0, 1).
  void add(std::size_t count, const Kind& kind, const kernels::UpdateSpan& numbers) {
    kernels::UpdateSpan span = numbers;
    span.dtype = kind.dtype;
    span.gradient_dtype = kind.gradient;
    span.copy_dtype = kind.copy;
    span.count = count;
    span.parameter = place(count, kind.dtype, kind.offset, -2.0, 2.0);
    span.gradient = place(count, kind.gradient, kind.offset, -2.0, 2.0);
    for (int k = 0; k < kind.states; ++k) span.state[k] = place(count, kind.dtype, kind.offset, 0.0, 1.0);
    if (kind.has_copy) span.copy = place(count, kind.copy, kind.offset, 0.0, 0.0);
    spans_.push_back(span);
  }

  /// On the host, where the pointers are offsets until now.
  std::vector<kernels::UpdateSpan> on_host() { return based(bytes()); }
  std::vector<kernels::UpdateSpan> on_device(const std::shared_ptr<device::Runtime>& runtime) {
    device_ = testing::on_device<std::byte>(runtime, std::span(bytes(), size_));
    return based(device_.data());
  }
  /// Whether both hold the same bytes, once all that `stream` was given has run. What lies between the tensors counts.
  bool equal(device::Runtime& runtime, Stream stream) {
    const auto got = to_host<std::byte>(runtime, device_.data(), size_, stream);
    return std::memcmp(got.data(), bytes(), size_) == 0;
  }

 private:
  std::byte* bytes() {
    storage_.resize((size_ + 7) / 8 + 8);
    return reinterpret_cast<std::byte*>(storage_.data());
  }
  std::byte* place(std::size_t count, DType dtype, std::size_t offset, double low, double high) {
    const std::size_t at = (size_ + 31) / 32 * 32 + offset * size_of(dtype);
    size_ = at + count * size_of(dtype);
    std::byte* to = bytes() + at;
    for (std::size_t i = 0; i < count; ++i) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      const double value = low + (high - low) * static_cast<double>(random_ >> 11) * 0x1p-53;
      const auto narrow = static_cast<float>(value);
      const Float16 half = to_float16(narrow);
      const BFloat16 brain = to_bfloat16(narrow);
      switch (dtype) {
        case DType::f64: std::memcpy(to + 8 * i, &value, 8); break;
        case DType::f32: std::memcpy(to + 4 * i, &narrow, 4); break;
        case DType::f16: std::memcpy(to + 2 * i, &half, 2); break;
        default: std::memcpy(to + 2 * i, &brain, 2);
      }
    }
    // An offset for now: the storage may move. One past it, for 0 is null.
    return reinterpret_cast<std::byte*>(at + 1);
  }
  std::vector<kernels::UpdateSpan> based(std::byte* base) const {
    const auto at = [&](const void* offset) {
      return offset == nullptr ? nullptr : base + reinterpret_cast<std::uintptr_t>(offset) - 1;
    };
    std::vector<kernels::UpdateSpan> spans = spans_;
    for (kernels::UpdateSpan& span : spans) {
      span.parameter = at(span.parameter);
      span.gradient = at(span.gradient);
      for (void*& state : span.state) state = at(state);
      span.copy = at(span.copy);
    }
    return spans;
  }

  std::vector<kernels::UpdateSpan> spans_;
  std::vector<std::uint64_t> storage_;
  std::size_t size_ = 0;
  std::uint64_t random_ = 1;
  device::Buffer device_;
};

}  // namespace trireme::testing
