// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/owned.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace trireme::engines::nccl {

/// Working memory of the operations of one stream. They run one behind the other, so all use the same. It only grows, to twice the
/// most that was needed at most: giving back what it has outgrown would wait for all that runs on the device.
class Scratch {
 public:
  Scratch(std::shared_ptr<device::Runtime> runtime, int device) : runtime_(std::move(runtime)), device_(device) {}

  /// The next operation begins.
  void begin() { used_ = 0; }
  /// Until the next begin(), for what is given to the stream meanwhile. Errors: device.
  std::byte* take(std::size_t bytes) {
    const std::size_t rounded = (bytes + line - 1) / line * line;
    const std::size_t capacity = chunks_.empty() ? 0 : chunks_.back().size_bytes();
    if (used_ + rounded > capacity) {
      chunks_.emplace_back(runtime_, device_, std::max({2 * capacity, rounded, smallest}));
      used_ = 0;
    }
    std::byte* place = chunks_.back().data() + used_;
    used_ += rounded;
    return place;
  }
  std::vector<device::Buffer> release() { return std::exchange(chunks_, {}); }

 private:
  static constexpr std::size_t line = 256;
  static constexpr std::size_t smallest = std::size_t{1} << 20;
  std::shared_ptr<device::Runtime> runtime_;
  int device_;
  std::size_t used_ = 0;
  std::vector<device::Buffer> chunks_;
};

}  // namespace trireme::engines::nccl
