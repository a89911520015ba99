// SPDX-License-Identifier: Apache-2.0
#include "kernels/cast/cast.hpp"

#include "kernels/cast/cast_device.hpp"
#include "unit/kernels_device/device_array.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;

namespace {

constexpr DType floats[] = {DType::f64, DType::f32, DType::f16, DType::bf16, DType::f8e4m3, DType::f8e5m2};

/// What shows how a type is rounded: every pattern of a narrow one; of a wide one specials, and what two roundings get wrong.
kernels::samples::Array telling_values(DType dtype) {
  if (size_of(dtype) <= 2) return kernels::samples::all_patterns(dtype);
  auto values = kernels::samples::random(dtype, 20011, 31, 3);
  std::size_t i = 0;
  for (const double quantum : {0x1p-3, 0x1p-2, 0x1p-7, 0x1p-10, 0x1p-23}) {
    for (const double off : {0.0, 0x1p-40, -0x1p-40, 0x1p-26, -0x1p-26}) {
      for (const double odd : {1.0, 3.0}) {
        for (const double size : {1.0, -1.0, 0x1p-14, 0x1p-16, 0x1p-126, 0x1p-130, 448.0, 57344.0, 65504.0})
          values.set(i++, (1.0 + odd * quantum / 2 + off) * size);
      }
    }
  }
  return values;
}

}  // namespace

TEST_CASE("Conversions on a device give the host's bits for every pair of types") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    INFO(runtime->name());
    const device::OwnedStream stream(runtime, 0);
    for (const DType from : floats) {
      const auto source = telling_values(from);
      const testing::DeviceArray device_source(runtime, source, stream.get());
      for (const DType to : floats) {
        kernels::samples::Array expected(to, source.count());
        REQUIRE(kernels::cast(expected.data(), to, source.data(), from, source.count()));
        for (const auto rung : {kernels::Rung::plain, kernels::Rung::fast}) {
          const testing::DeviceArray result(runtime, kernels::samples::Array(to, source.count()), stream.get());
          REQUIRE(kernels::cast(result.data(), to, device_source.data(), from, source.count(), stream.queue(), rung));
          CAPTURE(name_of(from), name_of(to));
          CHECK(kernels::samples::same(expected, result.back(stream.get())));
        }
      }
    }
  }
}

TEST_CASE("Conversions on a device take any count and start, and copy what is of the same type") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const std::pair<DType, DType> pairs[] = {{DType::f32, DType::bf16},
                                             {DType::bf16, DType::f32},
                                             {DType::f64, DType::f8e4m3},
                                             {DType::i64, DType::i64},
                                             {DType::boolean, DType::boolean}};
    for (const auto& [from, to] : pairs) {
      for (const std::size_t count : {0u, 1u, 9u, 5001u}) {
        for (const auto& [shift, other] : {std::pair{0u, 0u}, {3u, 3u}, {1u, 2u}}) {
          const auto source = kernels::samples::random(from, count, 5);
          kernels::samples::Array expected(to, count);
          REQUIRE(kernels::cast(expected.data(), to, source.data(), from, count));
          const testing::DeviceArray device_source(runtime, source, stream.get(), shift);
          const testing::DeviceArray result(runtime, kernels::samples::Array(to, count), stream.get(), other);
          REQUIRE(kernels::cast(result.data(), to, device_source.data(), from, count, stream.queue()));
          CAPTURE(name_of(from), name_of(to), count, shift, other);
          CHECK(kernels::samples::same(expected, result.back(stream.get())));
        }
      }
    }
    CHECK_FALSE(kernels::cast(nullptr, DType::f32, nullptr, DType::i32, 1, stream.queue()));
    CHECK_FALSE(kernels::cast(nullptr, DType::u8, nullptr, DType::f16, 1, stream.queue()));
  }
}
