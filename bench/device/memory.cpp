// SPDX-License-Identifier: Apache-2.0
#include "bench/device/memory.hpp"

#include "kernels/cast/cast.hpp"

#include <cstring>

namespace trireme::bench {

Twin::Twin(const Ground& ground, DType dtype, std::size_t count, std::uint32_t seed)
    : dtype_(dtype), host_(count * size_of(dtype)), device_(ground.runtime, 0, count * size_of(dtype)) {
  std::vector<float> numbers(count);
  std::uint32_t state = seed;
  for (float& number : numbers) {
    state = state * 1664525u + 1013904223u;
    number = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f;
  }
  kernels::cast(host_.data(), dtype, numbers.data(), DType::f32, count);
  ground.runtime->copy(device_.data(), host_.data(), host_.size(), ground.stream.get());
  ground.stream.synchronize();
}

bool Twin::same(const Ground& ground) const {
  std::vector<std::byte> got(host_.size());
  ground.runtime->copy(got.data(), device_.data(), got.size(), ground.stream.get());
  ground.stream.synchronize();
  return std::memcmp(got.data(), host_.data(), got.size()) == 0;
}

}  // namespace trireme::bench
