// SPDX-License-Identifier: Apache-2.0
#include "kernels/fold/fold.hpp"

#include "kernels/fold/fold_device.hpp"
#include "trireme/base/error.hpp"
#include "unit/kernels_device/device_array.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;

TEST_CASE("scaling and adding gives the same bits on a device as on the host") {
  using kernels::samples::Array;
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2}) {
      for (const std::size_t count : {0u, 1u, 255u, 256u, 20011u}) {
        for (const auto& [shift, other] : {std::pair{0u, 0u}, {1u, 1u}, {3u, 1u}}) {
          for (const auto rung : {kernels::Rung::plain, kernels::Rung::fast}) {
            CAPTURE(name_of(dtype), count, shift, other);
            const DType wide = accumulator_of(dtype);
            const Array source = kernels::samples::random(dtype, count, 1, 5);
            Array sum = kernels::samples::random(wide, count, 2, 7);
            const testing::DeviceArray device_source(runtime, source, stream.get(), shift);
            const testing::DeviceArray device_sum(runtime, sum, stream.get(), other);
            const auto agrees = [&] { return kernels::samples::same(sum, device_sum.back(stream.get())); };

            kernels::scale_add(sum.data(), source.data(), dtype, 3.7, count);
            kernels::scale_add(device_sum.data(), device_source.data(), dtype, 3.7, count, stream.queue(), rung);
            CHECK(agrees());
            kernels::scale_divide(sum.data(), source.data(), dtype, 0.3, 7.0, count);
            kernels::scale_divide(device_sum.data(), device_source.data(), dtype, 0.3, 7.0, count, stream.queue(),
                                  rung);
            CHECK(agrees());
            kernels::scale(sum.data(), source.data(), dtype, -1.1, count);
            kernels::scale(device_sum.data(), device_source.data(), dtype, -1.1, count, stream.queue(), rung);
            CHECK(agrees());
          }
        }
      }
    }
  }
}

TEST_CASE("A fold on a device begins with the identity of addition and adds as the host does") {
  using kernels::samples::Array;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const DType dtype : {DType::f64, DType::f32}) {
      for (const std::size_t shift : {0u, 1u}) {
        for (const auto rung : {kernels::Rung::plain, kernels::Rung::fast}) {
          const Array right = kernels::samples::random(dtype, 9001, 3, 4);
          Array left(dtype, 9001);
          const testing::DeviceArray device_right(runtime, right, stream.get(), shift);
          const testing::DeviceArray device_left(runtime, left, stream.get(), shift);
          kernels::fill_negative_zero(device_left.data(), dtype, 9001, stream.queue());
          for (std::size_t i = 0; i < 9001; ++i) left.set(i, -0.0);
          CHECK(kernels::samples::same(left, device_left.back(stream.get())));
          kernels::add(device_left.data(), device_right.data(), dtype, 9001, stream.queue(), rung);
          CHECK(kernels::samples::same(right, device_left.back(stream.get())));
          kernels::add(device_left.data(), device_right.data(), dtype, 9001, stream.queue(), rung);
          for (std::size_t i = 0; i < 9001; ++i) {
            const double sum = right.value(i) + right.value(i);
            left.set(i, dtype == DType::f32 ? static_cast<double>(static_cast<float>(sum)) : sum);
          }
          CHECK(kernels::samples::same(left, device_left.back(stream.get())));
        }
      }
    }
    CHECK_THROWS_AS(kernels::add(nullptr, nullptr, DType::f16, 1, stream.queue()), Exception);
    CHECK_THROWS_AS(kernels::fill_negative_zero(nullptr, DType::i32, 1, stream.queue()), Exception);
  }
}
