// SPDX-License-Identifier: Apache-2.0
#include "kernels/dense/dense.hpp"

#include "kernels/dense/dense_device.hpp"
#include "unit/kernels_device/twin.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using testing::below;
using testing::numbers;
using testing::Twin;

TEMPLATE_TEST_CASE("a dense layer's kernels give the same bits on a device as on the host", "", float, double) {
  using T = TestType;
  struct Case {
    std::size_t rows, columns, offset;
  };
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const auto& [rows, columns, offset] : {Case{0, 8, 0}, Case{1, 1, 0}, Case{7, 33, 0}, Case{64, 48, 0},
                                                Case{64, 48, 1}, Case{65, 40, 0}, Case{300, 5, 0}}) {
      INFO(runtime->name() << ", " << rows << " x " << columns << ", off by " << offset);
      Twin<T> values(runtime, numbers<T>(rows * columns, 1, 9), offset);
      Twin<T> bias(runtime, numbers<T>(columns, 2, 9), offset);
      kernels::add_bias(values.host(), bias.host(), rows, columns);
      kernels::add_bias(values.device(), bias.device(), rows, columns, stream.queue());
      CHECK(values.same(stream.get()));
      kernels::add_bias_relu(values.host(), bias.host(), rows, columns);
      kernels::add_bias_relu(values.device(), bias.device(), rows, columns, stream.queue());
      CHECK(values.same(stream.get()));

      Twin<T> dy(runtime, numbers<T>(rows * columns, 3, 9), offset);
      kernels::relu_backward(dy.host(), dy.host(), values.host(), rows * columns);
      kernels::relu_backward(dy.device(), dy.device(), values.device(), rows * columns, stream.queue());
      CHECK(dy.same(stream.get()));

      Twin<T> sums(runtime, numbers<T>(columns, 4));
      Twin<T> terms(runtime, numbers<T>(rows * columns, 5), offset);
      kernels::column_sum(sums.host(), terms.host(), rows, columns);
      kernels::column_sum(sums.device(), terms.device(), rows, columns, stream.queue());
      CHECK(sums.same(stream.get()));
    }
  }
}

TEMPLATE_TEST_CASE("columns of any height are summed by the host's tree", "", float, double) {
  using T = TestType;
  const auto runtime = testing::runtimes_under_test().front();
  const device::OwnedStream stream(runtime, 0);
  Twin<T> terms(runtime, numbers<T>(1100 * 3, 1));
  for (std::size_t rows = 1; rows <= 1100; rows += rows < 140 ? 1 : 107) {
    INFO(rows << " rows");
    Twin<T> sums(runtime, std::vector<T>(3));
    kernels::column_sum(sums.host(), terms.host(), rows, 3);
    kernels::column_sum(sums.device(), terms.device(), rows, 3, stream.queue());
    CHECK(sums.same(stream.get()));
  }
}

TEMPLATE_TEST_CASE("softmax and its cross entropy have the host's bits on a device, in place or not", "", float,
                   double) {
  using T = TestType;
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    for (const std::size_t classes : {1u, 2u, 7u, 10u, 64u, 256u}) {
      for (const std::size_t rows : {0u, 1u, 31u, 70u}) {
        INFO(runtime->name() << ", " << rows << " rows of " << classes);
        std::vector<T> elements = numbers<T>(rows * classes, 1);
        if (rows > 30) {  // ties, and what is no number, in the first place and later; infinities; a label that is none
          for (std::size_t j = 0; j < classes; ++j) elements[3 * classes + j] = T{0};
          elements[5 * classes] = static_cast<T>(NAN);
          elements[6 * classes + classes - 1] = static_cast<T>(NAN);
          elements[7 * classes + classes / 2] = static_cast<T>(INFINITY);
          for (std::size_t j = 0; j < classes; ++j) elements[8 * classes + j] = static_cast<T>(-INFINITY);
          elements[9 * classes] = static_cast<T>(1e30);
        }
        Twin<T> logits(runtime, elements);
        std::vector<std::uint8_t> named = below<std::uint8_t>(classes, rows, 5);
        if (rows > 30 && classes < 256) named[10] = static_cast<std::uint8_t>(classes);
        Twin<std::uint8_t> labels(runtime, named);
        Twin<T> gradient(runtime, numbers<T>(rows * classes, 2));
        Twin<double> losses(runtime, numbers<double>(rows, 3));
        device::Buffer hits(runtime, 0, rows);
        const std::size_t correct = kernels::softmax_cross_entropy<T>({.logits = logits.host(),
                                                                       .labels = labels.host(),
                                                                       .rows = rows,
                                                                       .classes = classes,
                                                                       .losses = losses.host(),
                                                                       .gradient = gradient.host()});
        kernels::DeviceSoftmaxCrossEntropyCall<T> call{.logits = logits.device(),
                                                       .labels = labels.device(),
                                                       .rows = rows,
                                                       .classes = classes,
                                                       .losses = losses.device(),
                                                       .gradient = gradient.device(),
                                                       .hits = reinterpret_cast<std::uint8_t*>(hits.data())};
        kernels::softmax_cross_entropy(call, stream.queue());
        CHECK(losses.same(stream.get()));
        CHECK(gradient.same(stream.get()));
        std::size_t hit = 0;
        for (const std::uint8_t each : testing::to_host<std::uint8_t>(*runtime, hits.data(), rows, stream.get()))
          hit += each;
        CHECK(hit == correct);

        kernels::softmax_cross_entropy<T>({.logits = logits.host(),
                                           .labels = labels.host(),
                                           .rows = rows,
                                           .classes = classes,
                                           .gradient = logits.host()});
        call.losses = nullptr;
        call.hits = nullptr;
        call.gradient = logits.device();
        kernels::softmax_cross_entropy(call, stream.queue());
        CHECK(logits.same(stream.get()));
      }
    }
  }
}
