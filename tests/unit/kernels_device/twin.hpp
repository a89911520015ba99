// SPDX-License-Identifier: Apache-2.0
// What tests of twins need: arrays that the host and a device have alike, and equality of bits with NaN as one class.
#pragma once

#include "support/device_under_test.hpp"
#include "unit/kernels/samples.hpp"

#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace trireme::testing {

/// The same elements in host and device memory, `offset` elements from where an allocation begins, until a kernel changes
/// them on one side.
template <class T>
class Twin {
 public:
  Twin(const std::shared_ptr<device::Runtime>& runtime, std::vector<T> elements, std::size_t offset = 0)
      : runtime_(runtime), offset_(offset), host_(std::move(elements)) {
    std::vector<T> moved(offset + host_.size());
    std::copy(host_.begin(), host_.end(), moved.begin() + static_cast<std::ptrdiff_t>(offset));
    memory_ = on_device<T>(runtime, moved);
  }

  T* host() { return host_.data(); }
  T* device() const { return memory_.data() == nullptr ? nullptr : reinterpret_cast<T*>(memory_.data()) + offset_; }
  std::size_t size() const { return host_.size(); }

  /// Whether the device has the host's bits once the stream has run.
  bool same(Stream stream) const {
    const std::vector<T> got = to_host<T>(*runtime_, device(), host_.size(), stream);
    for (std::size_t i = 0; i < host_.size(); ++i) {
      if (std::memcmp(&got[i], &host_[i], sizeof(T)) == 0) continue;
      if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(got[i]) && std::isnan(host_[i])) continue;
      }
      return false;
    }
    return true;
  }

 private:
  std::shared_ptr<device::Runtime> runtime_;
  std::size_t offset_;
  std::vector<T> host_;
  device::Buffer memory_;
};

/// Moderate numbers with full mantissas; one in `special_every` is special (0: none).
template <class T>
std::vector<T> numbers(std::size_t count, unsigned seed, std::size_t special_every = 0) {
  const kernels::samples::Array array = kernels::samples::random(dtype_of<T>, count, seed, special_every);
  std::vector<T> elements(count);
  if (count != 0) std::memcpy(elements.data(), array.data(), count * sizeof(T));
  return elements;
}

/// Whole numbers from 0 to below `bound`.
template <class T>
std::vector<T> below(std::size_t bound, std::size_t count, unsigned seed) {
  std::vector<T> elements(count);
  std::uint32_t state = seed;
  for (T& each : elements) {
    state = state * 1664525u + 1013904223u;
    each = static_cast<T>((state >> 8) % bound);
  }
  return elements;
}

}  // namespace trireme::testing
