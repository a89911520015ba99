// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/device_under_test.hpp"
#include "unit/kernels/samples.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <memory>
#include <vector>

namespace trireme::testing {

/// The elements of an array in device memory, `shift` elements off an edge, with guards around them.
class DeviceArray {
 public:
  DeviceArray(std::shared_ptr<device::Runtime> runtime, const kernels::samples::Array& elements, Stream stream,
              std::size_t shift = 0)
      : runtime_(std::move(runtime)),
        dtype_(elements.dtype()),
        count_(elements.count()),
        begin_(guard + shift * size_of(elements.dtype())),
        image_(begin_ + count_ * size_of(dtype_) + guard, std::byte{0xa5}),
        buffer_(runtime_, 0, image_.size()) {
    if (count_ != 0) std::memcpy(image_.data() + begin_, elements.data(), count_ * size_of(dtype_));
    runtime_->copy(buffer_.data(), image_.data(), image_.size(), stream);
    runtime_->synchronize(stream);
  }

  void* data() const { return buffer_.data() + begin_; }
  DType dtype() const { return dtype_; }
  std::size_t count() const { return count_; }

  /// What is there once the stream has run. Nothing around it may have changed.
  kernels::samples::Array back(Stream stream) const {
    const auto bytes = to_host<std::byte>(*runtime_, buffer_.data(), buffer_.size_bytes(), stream);
    const std::size_t end = begin_ + count_ * size_of(dtype_);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if ((i < begin_ || i >= end) && bytes[i] != std::byte{0xa5}) FAIL("written outside of the elements: byte " << i);
    }
    kernels::samples::Array elements(dtype_, count_);
    if (count_ != 0) std::memcpy(elements.data(), bytes.data() + begin_, count_ * size_of(dtype_));
    return elements;
  }

 private:
  static constexpr std::size_t guard = 256;
  std::shared_ptr<device::Runtime> runtime_;
  DType dtype_;
  std::size_t count_;
  std::size_t begin_;
  std::vector<std::byte> image_;  // outlives the copies from it
  device::Buffer buffer_;
};

}  // namespace trireme::testing
