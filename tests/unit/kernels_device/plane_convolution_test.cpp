// SPDX-License-Identifier: Apache-2.0
#include "kernels/plane_convolution/plane_convolution.hpp"

#include "kernels/plane_convolution/plane_convolution_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("a convolution of one channel, and its gradients, have the host's bits on a device", "", float,
                   double) {
  using T = TestType;
  using kernels::PoolPlace;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const kernels::PlaneShape& shape :
         {kernels::PlaneShape{3, 6, 8, 5}, kernels::PlaneShape{2, 7, 5, 16}, kernels::PlaneShape{1, 2, 2, 1}}) {
      INFO(runtime->name() << ", " << shape.height << " x " << shape.width << ", " << shape.outputs << " outputs");
      const std::size_t outputs = shape.images * shape.image_outputs();
      Twin<T> x(runtime, numbers<T>(shape.images * shape.height * shape.width, 1));
      Twin<T> weight(runtime, numbers<T>(9 * shape.outputs, 2)), bias(runtime, numbers<T>(shape.outputs, 3));
      Twin<T> y(runtime, numbers<T>(outputs, 4)), dy(runtime, numbers<T>(outputs, 5));
      Twin<PoolPlace> places(runtime, std::vector<PoolPlace>(outputs));
      std::vector<T> padded(shape.padded());
      kernels::plane_convolution(y.host(), places.host(), x.host(), weight.host(), bias.host(), shape, padded.data());
      kernels::plane_convolution(y.device(), places.device(), x.device(), weight.device(), bias.device(), shape,
                                 stream.queue());
      CHECK(y.same(stream.get()));
      CHECK(places.same(stream.get()));
      Twin<T> weights(runtime, numbers<T>(9 * shape.images * shape.outputs, 6));
      Twin<T> biases(runtime, numbers<T>(shape.images * shape.outputs, 7));
      kernels::plane_gradients(weights.host(), biases.host(), x.host(), dy.host(), places.host(), shape, padded.data());
      kernels::plane_gradients(weights.device(), biases.device(), x.device(), dy.device(), places.device(), shape,
                               stream.queue());
      CHECK(weights.same(stream.get()));
      CHECK(biases.same(stream.get()));
    }
  }
}
