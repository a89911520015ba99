// SPDX-License-Identifier: Apache-2.0
#include "kernels/patches/patches.hpp"

#include "kernels/patches/patches_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("windows of images as rows, and back, have the host's bits on a device", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const kernels::PatchShape& shape :
         {kernels::PatchShape{2, 5, 6, 3, 3, 1}, kernels::PatchShape{1, 7, 4, 8, 3, 2},
          kernels::PatchShape{2, 9, 8, 1, 5, 3}, kernels::PatchShape{1, 4, 4, 4, 1, 2},
          kernels::PatchShape{1, 1, 2, 2, 7, 1}}) {
      INFO(runtime->name() << ", " << shape.height << " x " << shape.width << " x " << shape.channels << ", kernel "
                           << shape.kernel << ", stride " << shape.stride);
      const std::size_t inputs = shape.images * shape.height * shape.width * shape.channels;
      Twin<T> x(runtime, numbers<T>(inputs, 1, 9));
      Twin<T> patches(runtime, numbers<T>(shape.patches() * shape.patch(), 2));
      kernels::gather_patches(patches.host(), x.host(), shape);
      kernels::gather_patches(patches.device(), x.device(), shape, stream.queue());
      CHECK(patches.same(stream.get()));
      Twin<T> terms(runtime, numbers<T>(shape.patches() * shape.patch(), 3));
      kernels::scatter_patches(x.host(), terms.host(), shape);
      kernels::scatter_patches(x.device(), terms.device(), shape, stream.queue());
      CHECK(x.same(stream.get()));
    }
  }
}
