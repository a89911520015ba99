// SPDX-License-Identifier: Apache-2.0
#include "kernels/pooled_relu/pooled_relu.hpp"

#include "kernels/pooled_relu/pooled_relu_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("the greatest of 2 x 2 behind relu, and back, has the host's bits on a device", "", float, double) {
  using T = TestType;
  using kernels::PoolPlace;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const kernels::PoolShape& shape :
         {kernels::PoolShape{3, 6, 8, 5}, kernels::PoolShape{2, 7, 5, 16}, kernels::PoolShape{1, 1, 4, 3}}) {
      INFO(runtime->name() << ", " << shape.height << " x " << shape.width << " x " << shape.channels);
      const std::size_t inputs = shape.images * shape.height * shape.width * shape.channels;
      const std::size_t outputs = shape.images * (shape.height / 2) * (shape.width / 2) * shape.channels;
      Twin<T> x(runtime, numbers<T>(inputs, 1, 7)), bias(runtime, numbers<T>(shape.channels, 2));
      Twin<T> y(runtime, numbers<T>(outputs, 3));
      Twin<PoolPlace> places(runtime, std::vector<PoolPlace>(outputs));
      kernels::pooled_relu(y.host(), places.host(), x.host(), bias.host(), shape);
      kernels::pooled_relu(y.device(), places.device(), x.device(), bias.device(), shape, stream.queue());
      CHECK(y.same(stream.get()));
      CHECK(places.same(stream.get()));
      kernels::pooled_relu_backward(x.host(), y.host(), places.host(), shape);
      kernels::pooled_relu_backward(x.device(), y.device(), places.device(), shape, stream.queue());
      CHECK(x.same(stream.get()));
      kernels::pooled_relu_mask(y.host(), places.host(), outputs);
      kernels::pooled_relu_mask(y.device(), places.device(), outputs, stream.queue());
      CHECK(y.same(stream.get()));
    }
  }
}
