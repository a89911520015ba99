// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm/batch_norm.hpp"

#include "kernels/batch_norm/batch_norm_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("batch normalisation, forward and backward, has the host's bits on a device", "", float, double) {
  using T = TestType;
  struct Size {
    std::size_t rows, columns;
  };
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& [rows, columns] : {Size{1, 3}, Size{64, 16}, Size{65, 33}, Size{700, 5}}) {
      for (const bool relu : {false, true}) {
        INFO(runtime->name() << ", " << rows << " x " << columns << ", relu " << relu);
        const std::size_t count = rows * columns;
        Twin<double> mean(runtime, numbers<double>(columns, 1)), squares(runtime, numbers<double>(columns, 2));
        Twin<T> x(runtime, numbers<T>(count, 3)), y(runtime, numbers<T>(count, 4)), dy(runtime, numbers<T>(count, 5));
        kernels::column_moments(mean.host(), squares.host(), x.host(), rows, columns);
        kernels::column_moments(mean.device(), squares.device(), x.device(), rows, columns, stream.queue());
        CHECK(mean.same(stream.get()));
        CHECK(squares.same(stream.get()));

        Twin<T> centre(runtime, numbers<T>(columns, 6)), scale(runtime, numbers<T>(columns, 7));
        Twin<T> shift(runtime, numbers<T>(columns, 8)), slope(runtime, numbers<T>(columns, 9));
        kernels::normalise<T>({y.host(), x.host(), rows, columns, centre.host(), scale.host(), shift.host(), relu});
        kernels::normalise<T>(
            {y.device(), x.device(), rows, columns, centre.device(), scale.device(), shift.device(), relu},
            stream.queue());
        CHECK(y.same(stream.get()));

        Twin<double> sum(runtime, numbers<double>(columns, 10)), projected(runtime, numbers<double>(columns, 11));
        kernels::derivative_sums<T>(
            {sum.host(), projected.host(), dy.host(), x.host(), relu ? y.host() : nullptr, rows, columns, mean.host()});
        kernels::derivative_sums<T>({sum.device(), projected.device(), dy.device(), x.device(),
                                     relu ? y.device() : nullptr, rows, columns, mean.device()},
                                    stream.queue());
        CHECK(sum.same(stream.get()));
        CHECK(projected.same(stream.get()));

        kernels::normalise_backward<T>({dy.host(), dy.host(), x.host(), relu ? y.host() : nullptr, rows, columns,
                                        centre.host(), scale.host(), shift.host(), slope.host()});
        kernels::normalise_backward<T>({dy.device(), dy.device(), x.device(), relu ? y.device() : nullptr, rows,
                                        columns, centre.device(), scale.device(), shift.device(), slope.device()},
                                       stream.queue());
        CHECK(dy.same(stream.get()));
      }
    }
  }
}
