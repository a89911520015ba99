// SPDX-License-Identifier: Apache-2.0
#include "kernels/gelu/gelu.hpp"

#include "kernels/gelu/gelu_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("gelu and its derivative have the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t columns : {1u, 30u, 64u}) {
      constexpr std::size_t rows = 33;
      INFO(runtime->name() << ", " << columns << " columns");
      Twin<T> values(runtime, numbers<T>(rows * columns, 1, 9));
      Twin<T> activations(runtime, numbers<T>(rows * columns, 2));
      Twin<T> bias(runtime, numbers<T>(columns, 3));
      kernels::add_bias_gelu(activations.host(), values.host(), bias.host(), rows, columns);
      kernels::add_bias_gelu(activations.device(), values.device(), bias.device(), rows, columns, stream.queue());
      CHECK(values.same(stream.get()));
      CHECK(activations.same(stream.get()));
      kernels::gelu_backward(activations.host(), activations.host(), values.host(), values.size());
      kernels::gelu_backward(activations.device(), activations.device(), values.device(), values.size(),
                             stream.queue());
      CHECK(activations.same(stream.get()));
    }
  }
}
