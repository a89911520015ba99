// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/layer_norm.hpp"

#include "kernels/layer_norm/layer_norm_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("layer normalisation, forward and backward, has the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t columns : {1u, 7u, 8u, 65u, 384u}) {
      constexpr std::size_t rows = 37;
      INFO(runtime->name() << ", " << columns << " columns");
      const std::size_t count = rows * columns;
      Twin<T> y(runtime, numbers<T>(count, 1)), x(runtime, numbers<T>(count, 2, columns == 65 ? 99 : 0));
      Twin<T> gain(runtime, numbers<T>(columns, 3)), bias(runtime, numbers<T>(columns, 4));
      Twin<T> means(runtime, numbers<T>(rows, 5)), roots(runtime, numbers<T>(rows, 6));
      kernels::layer_norm<T>(
          {y.host(), x.host(), gain.host(), bias.host(), means.host(), roots.host(), rows, columns, 1e-5});
      kernels::layer_norm<T>(
          {y.device(), x.device(), gain.device(), bias.device(), means.device(), roots.device(), rows, columns, 1e-5},
          stream.queue());
      CHECK(y.same(stream.get()));
      CHECK(means.same(stream.get()));
      CHECK(roots.same(stream.get()));
      Twin<T> dx(runtime, numbers<T>(count, 7)), terms(runtime, numbers<T>(count, 8)),
          dy(runtime, numbers<T>(count, 9));
      kernels::layer_norm_backward<T>(
          {dx.host(), terms.host(), dy.host(), x.host(), gain.host(), means.host(), roots.host(), rows, columns});
      kernels::layer_norm_backward<T>({dx.device(), terms.device(), dy.device(), x.device(), gain.device(),
                                       means.device(), roots.device(), rows, columns},
                                      stream.queue());
      CHECK(dx.same(stream.get()));
      CHECK(terms.same(stream.get()));
    }
  }
}
