// SPDX-License-Identifier: Apache-2.0
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"

#include "kernels/device_kernels.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>

using namespace trireme;
using testing::numbers;
using testing::Twin;

namespace {

/// Rows of all kinds: of NaN among others and alone, infinities, nothing but zeros of either sign, one of them the greatest.
template <class T>
std::vector<T> logits_of(std::size_t rows, std::size_t columns) {
  std::vector<T> elements = numbers<T>(rows * columns, 1);
  if (columns == 0) return elements;
  const auto row = [&](std::size_t r) { return elements.begin() + static_cast<std::ptrdiff_t>(r * columns); };
  const auto end = static_cast<std::ptrdiff_t>(columns);
  row(1)[end / 2] = static_cast<T>(NAN);
  std::fill(row(2), row(2) + end, static_cast<T>(NAN));
  row(3)[end - 1] = static_cast<T>(INFINITY);
  std::fill(row(4), row(4) + end, static_cast<T>(-INFINITY));
  for (std::ptrdiff_t j = 0; j < end; ++j) {
    row(5)[j] = static_cast<T>(j % 2 == 0 ? 0.0 : -0.0);
    row(6)[j] = static_cast<T>(j % 3 == 1 ? 0.0 : -0.0);
    row(7)[j] = static_cast<T>(j % 8 != 3 ? -1.0 - static_cast<double>(j) : j < end / 2 ? -0.0 : 0.0);
    row(8)[j] = static_cast<T>(j + 1 == end ? 0.0 : j == 1 ? -0.0 : -1.0);  // among the last few, and in a later lane
    row(9)[j] = static_cast<T>(j >= end / 8 * 8 ? -0.0 : -2.0);
  }
  return elements;
}

constexpr std::size_t rows = 12;

}  // namespace

TEMPLATE_TEST_CASE("the parts of a cross entropy over shared columns have the host's bits on a device", "", float,
                   double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t columns : {0u, 1u, 5u, 8u, 65u, 259u, 1000u, 4099u}) {
      INFO(runtime->name() << ", of " << columns);
      Twin<T> values(runtime, logits_of<T>(rows, columns));
      Twin<T> greatest(runtime, numbers<T>(rows, 2));
      Twin<double> sums(runtime, numbers<double>(rows, 3));
      Twin<double> factors(runtime, numbers<double>(rows, 4));

      kernels::row_maxima(greatest.host(), values.host(), rows, columns);
      kernels::row_maxima(greatest.device(), static_cast<const T*>(values.device()), rows, columns, stream.queue());
      CHECK(greatest.same(stream.get()));

      kernels::row_exponentials(values.host(), sums.host(), greatest.host(), rows, columns);
      kernels::row_exponentials(values.device(), sums.device(), static_cast<const T*>(greatest.device()), rows, columns,
                                stream.queue());
      CHECK(values.same(stream.get()));
      CHECK(sums.same(stream.get()));

      kernels::scale_rows(values.host(), factors.host(), rows, columns);
      kernels::scale_rows(values.device(), static_cast<const double*>(factors.device()), rows, columns, stream.queue());
      CHECK(values.same(stream.get()));
    }
    Twin<T> none(runtime, {}), untouched(runtime, numbers<T>(3, 5));
    kernels::row_maxima(untouched.device(), static_cast<const T*>(none.device()), 0, 7, stream.queue());
    CHECK(untouched.same(stream.get()));
  }
}

TEST_CASE("the kernels of the cross entropy over shared columns are loaded with all others") {
  std::vector<const device::KernelEntry*> own;
  kernels::vocabulary_cross_entropy_kernels(own);
  REQUIRE(own.size() == 6);
  const auto all = kernels::device_kernels();
  for (const device::KernelEntry* each : own) {
    CAPTURE(std::string(each->name));
    CHECK(std::count(all.begin(), all.end(), each) == 1);
  }
}
