// SPDX-License-Identifier: Apache-2.0
#include "kernels/token_cross_entropy/token_cross_entropy.hpp"

#include "kernels/token_cross_entropy/token_cross_entropy_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::below;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("the cross entropy of tokens has the host's bits on a device, in place or not", "", float, double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t classes : {1u, 5u, 65u, 1000u}) {
      constexpr std::size_t rows = 9;
      INFO(runtime->name() << ", of " << classes);
      std::vector<T> elements = numbers<T>(rows * classes, 1);
      elements[3 * classes] = static_cast<T>(NAN);
      elements[4 * classes + classes / 2] = static_cast<T>(1e30);
      for (std::size_t j = 0; j < classes; ++j) elements[5 * classes + j] = static_cast<T>(j % 2 == 0 ? 0.0 : -0.0);
      Twin<T> logits(runtime, elements);
      std::vector<std::uint16_t> named = below<std::uint16_t>(classes, rows, 5);
      named[7] = static_cast<std::uint16_t>(classes);  // is none
      Twin<std::uint16_t> targets(runtime, named);
      Twin<T> gradient(runtime, numbers<T>(rows * classes, 2));
      Twin<double> losses(runtime, numbers<double>(rows, 3));
      kernels::TokenCrossEntropyCall<T> host{logits.host(), targets.host(), rows,
                                             classes,       losses.host(),  gradient.host()};
      kernels::TokenCrossEntropyCall<T> device{logits.device(), targets.device(), rows,
                                               classes,         losses.device(),  gradient.device()};
      kernels::token_cross_entropy(host);
      kernels::token_cross_entropy(device, stream.queue());
      CHECK(losses.same(stream.get()));
      CHECK(gradient.same(stream.get()));

      host.gradient = device.gradient = nullptr;
      kernels::token_cross_entropy(host);
      kernels::token_cross_entropy(device, stream.queue());
      CHECK(losses.same(stream.get()));

      host.gradient = logits.host();
      device.gradient = logits.device();
      kernels::token_cross_entropy(host);
      kernels::token_cross_entropy(device, stream.queue());
      CHECK(losses.same(stream.get()));
      CHECK(logits.same(stream.get()));
    }
  }
}
