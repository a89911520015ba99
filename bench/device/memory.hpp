// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/device/measure.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/device/owned.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::bench {

/// Elements of a floating type on the host and on the device, the same at first: moderate numbers of either sign.
class Twin {
 public:
  Twin(const Ground& ground, DType dtype, std::size_t count, std::uint32_t seed);

  DType dtype() const { return dtype_; }
  std::size_t count() const { return host_.size() / size_of(dtype_); }
  std::byte* host() { return host_.data(); }
  std::byte* device() const { return device_.data(); }
  std::byte* host_at(std::size_t index) { return host_.data() + index * size_of(dtype_); }
  std::byte* device_at(std::size_t index) const { return device_.data() + index * size_of(dtype_); }
  /// Whether the device's bits are the host's.
  bool same(const Ground& ground) const;

 private:
  DType dtype_;
  std::vector<std::byte> host_;
  device::Buffer device_;
};

}  // namespace trireme::bench
