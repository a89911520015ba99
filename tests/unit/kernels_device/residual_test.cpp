// SPDX-License-Identifier: Apache-2.0
#include "kernels/residual/residual.hpp"

#include "kernels/residual/residual_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("a branch joins its residual with the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t offset : {0u, 1u}) {
      for (const std::size_t columns : {1u, 30u, 64u}) {
        constexpr std::size_t rows = 33;
        INFO(runtime->name() << ", " << columns << " columns, off by " << offset);
        Twin<T> values(runtime, numbers<T>(rows * columns, 1, 9), offset);
        Twin<T> residual(runtime, numbers<T>(rows * columns, 2, 9), offset);
        Twin<T> bias(runtime, numbers<T>(columns, 3, 9), offset);
        kernels::add_bias_residual(values.host(), values.host(), bias.host(), residual.host(), rows, columns);
        kernels::add_bias_residual(values.device(), values.device(), bias.device(), residual.device(), rows, columns,
                                   stream.queue());
        CHECK(values.same(stream.get()));
        kernels::add(residual.host(), values.host(), residual.host(), values.size());
        kernels::add(residual.device(), values.device(), residual.device(), values.size(), stream.queue());
        CHECK(residual.same(stream.get()));
      }
    }
  }
}
