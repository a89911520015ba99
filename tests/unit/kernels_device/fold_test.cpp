// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold.hpp"

#include "kernels/fold/fold_device.hpp"
#include "support/device_under_test.hpp"
#include "unit/kernels/samples.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace trireme;

namespace {

struct Case {
  std::size_t count;
  DType source;
};

std::vector<std::byte> bytes_of(std::size_t count, DType dtype, unsigned seed) {
  std::vector<std::byte> bytes(count * size_of(dtype));
  std::uint32_t state = seed;
  for (std::byte& byte : bytes) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

}  // namespace

TEST_CASE("scaling and adding gives the same bits on a device as on the host") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
      for (const std::size_t count : {0u, 1u, 255u, 256u, 4099u}) {
        INFO(name_of(dtype) << ", " << count << " elements");
        const DType wide = accumulator_of(dtype);
        const auto source = bytes_of(count, dtype, 1);
        std::vector<std::byte> sum(count * size_of(wide), std::byte{0x3f});
        const auto device_source = testing::on_device<std::byte>(runtime, source);
        const auto device_sum = testing::on_device<std::byte>(runtime, sum);

        const auto agrees = [&] {
          const auto got = testing::to_host<std::byte>(*runtime, device_sum.data(), sum.size(), stream.get());
          if (wide == DType::f64) {
            for (std::size_t i = 0; i < count; ++i) {
              double ours, theirs;
              std::memcpy(&ours, got.data() + 8 * i, 8);
              std::memcpy(&theirs, sum.data() + 8 * i, 8);
              if (!(std::isnan(ours) && std::isnan(theirs)) && std::memcmp(&ours, &theirs, 8) != 0) return false;
            }
            return true;
          }
          for (std::size_t i = 0; i < count; ++i) {
            float ours, theirs;
            std::memcpy(&ours, got.data() + 4 * i, 4);
            std::memcpy(&theirs, sum.data() + 4 * i, 4);
            if (!(std::isnan(ours) && std::isnan(theirs)) && std::memcmp(&ours, &theirs, 4) != 0) return false;
          }
          return true;
        };

        kernels::scale_add(sum.data(), source.data(), dtype, 3.7, count);
        kernels::scale_add(device_sum.data(), device_source.data(), dtype, 3.7, count, stream.queue());
        CHECK(agrees());
        kernels::scale_divide(sum.data(), source.data(), dtype, 0.3, 7.0, count);
        kernels::scale_divide(device_sum.data(), device_source.data(), dtype, 0.3, 7.0, count, stream.queue());
        CHECK(agrees());
        kernels::scale(sum.data(), source.data(), dtype, -1.1, count);
        kernels::scale(device_sum.data(), device_source.data(), dtype, -1.1, count, stream.queue());
        CHECK(agrees());
      }
    }
  }
}
