// SPDX-License-Identifier: Apache-2.0
#include "kernels/causal_softmax/causal_softmax.hpp"

#include "kernels/causal_softmax/causal_softmax_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("attention weights, forward and backward, have the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t length : {1u, 7u, 40u}) {
      constexpr std::size_t matrices = 3;
      INFO(runtime->name() << ", length " << length);
      const std::size_t square = length * length;
      Twin<T> values(runtime, numbers<T>(matrices * square, 1, 97)),
          gradient(runtime, numbers<T>(matrices * square, 2));
      const T scale = static_cast<T>(0.125);
      for (std::size_t m = 0; m < matrices; ++m) {
        kernels::causal_softmax(values.host() + m * square, length, scale);
        kernels::causal_softmax_backward(gradient.host() + m * square, values.host() + m * square, length, scale);
      }
      kernels::causal_softmax(values.device(), matrices, length, scale, stream.queue());
      CHECK(values.same(stream.get()));
      kernels::causal_softmax_backward(gradient.device(), values.device(), matrices, length, scale, stream.queue());
      CHECK(gradient.same(stream.get()));
    }
  }
}
