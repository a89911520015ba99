// SPDX-License-Identifier: Apache-2.0
#include "kernels/embedding/embedding.hpp"

#include "kernels/embedding/embedding_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::below;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("rows of a table by token, and back, have the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t channels : {1u, 6u, 32u}) {
      constexpr std::size_t count = 90, length = 30, rows = 17;
      INFO(runtime->name() << ", " << channels << " channels");
      Twin<T> x(runtime, numbers<T>(count * channels, 1));
      Twin<std::uint16_t> tokens(runtime, below<std::uint16_t>(rows - 2, count, 7));  // two rows are never named
      Twin<T> table(runtime, numbers<T>(rows * channels, 2)), positions(runtime, numbers<T>(length * channels, 3));
      kernels::embedding(x.host(), tokens.host(), table.host(), positions.host(), count, length, channels);
      kernels::embedding(x.device(), tokens.device(), table.device(), positions.device(), count, length, channels,
                         stream.queue());
      CHECK(x.same(stream.get()));
      kernels::embedding_backward(table.host(), tokens.host(), x.host(), count, channels);
      kernels::embedding_backward(table.device(), tokens.device(), x.device(), count, channels, stream.queue());
      CHECK(table.same(stream.get()));
    }
  }
}
