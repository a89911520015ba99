// SPDX-License-Identifier: Apache-2.0
#include "kernels/sparse_product/sparse_product.hpp"

#include "kernels/sparse_product/sparse_product_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::below;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("products of sparse rows, and back, have the host's bits on a device", "", float, double) {
  using T = TestType;
  constexpr std::size_t rows = 23, features = 11, before = 5;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t columns : {1u, 10u, 32u}) {
      INFO(runtime->name() << ", " << columns << " columns");
      std::vector<std::uint64_t> ends{before};  // what stands before the first row is another matrix's
      for (const std::uint64_t length : below<std::uint64_t>(5, rows, 3)) ends.push_back(ends.back() + length);
      const std::size_t all = ends.back();
      Twin<std::uint64_t> offsets(runtime, ends);
      Twin<std::uint32_t> indices(runtime, below<std::uint32_t>(features - 1, all, 4));
      Twin<float> values(runtime, numbers<float>(all, 5));
      Twin<T> y(runtime, numbers<T>(rows * columns, 6)), w(runtime, numbers<T>(features * columns, 7));
      const kernels::SparseMatrix host{offsets.host(), indices.host(), values.host(), rows};
      const kernels::SparseMatrix device{offsets.device(), indices.device(), values.device(), rows};
      kernels::sparse_product(y.host(), host, w.host(), columns);
      kernels::sparse_product(y.device(), device, w.device(), columns, stream.queue());
      CHECK(y.same(stream.get()));
      kernels::sparse_product_backward(w.host(), host, y.host(), columns);
      kernels::sparse_product_backward(w.device(), device, all - before, y.device(), columns, stream.queue());
      CHECK(w.same(stream.get()));
    }
  }
}
