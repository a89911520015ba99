// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooling/pooling.hpp"

#include "kernels/pooling/pooling_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("the mean of an image, and back, has the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const kernels::PoolShape& shape :
         {kernels::PoolShape{3, 7, 7, 5}, kernels::PoolShape{2, 4, 4, 64}, kernels::PoolShape{1, 1, 1, 3}}) {
      INFO(runtime->name() << ", " << shape.height << " x " << shape.width << " x " << shape.channels);
      const std::size_t inputs = shape.images * shape.height * shape.width * shape.channels;
      Twin<T> x(runtime, numbers<T>(inputs, 1)), y(runtime, numbers<T>(shape.images * shape.channels, 2));
      kernels::mean_pool(y.host(), x.host(), shape);
      kernels::mean_pool(y.device(), x.device(), shape, stream.queue());
      CHECK(y.same(stream.get()));
      kernels::mean_pool_backward(x.host(), y.host(), shape);
      kernels::mean_pool_backward(x.device(), y.device(), shape, stream.queue());
      CHECK(x.same(stream.get()));
    }
  }
}
