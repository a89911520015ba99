// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/device_mlp.hpp"

#include "support/device_under_test.hpp"
#include "support/failures.hpp"
#include "trireme/device/gemm_engines.hpp"
#include "trireme/models/mlp.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

using namespace trireme;
using models::DeviceMlp;
using models::Mlp;
using testing::error_of;
using testing::gradients_of;
using testing::random_samples;
using testing::runtimes_under_test;
using testing::same_bits;

namespace {

using RuntimePointer = std::shared_ptr<device::Runtime>;

/// A perceptron on device 0 that multiplies as the host does.
struct OnDevice {
  device::OwnedStream stream;
  DeviceMlp model;
  OnDevice(const RuntimePointer& runtime, const models::MlpOptions& options)
      : stream(runtime, 0), model(options, {runtime, stream.get(), device::own_matrix_product()}) {}

  std::vector<float> gradients(device::Runtime& runtime) const {
    std::vector<float> all;
    for (const Parameter& parameter : model.parameters()) {
      const auto own =
          testing::to_host<float>(runtime, parameter.gradient.data, parameter.gradient.count, stream.get());
      all.insert(all.end(), own.begin(), own.end());
    }
    return all;
  }
};

}  // namespace

TEST_CASE("a perceptron on a device starts as the host's: names, shapes, values", "[device]") {
  const models::MlpOptions options{.sizes = {20, 13, 7}, .seed = 5};
  const Mlp<float> host(options);
  for (const auto& runtime : runtimes_under_test()) {
    const OnDevice device(runtime, options);
    CHECK(device.model.description() == host.description());
    REQUIRE(device.model.parameters().size() == host.parameters().size());
    for (std::size_t p = 0; p < host.parameters().size(); ++p) {
      const Parameter& ours = device.model.parameters()[p];
      const Parameter& theirs = host.parameters()[p];
      CHECK(ours.name == theirs.name);
      CHECK(ours.shape == theirs.shape);
      CHECK(ours.value.device == Device{DeviceKind::cuda, 0});
      CHECK(runtime->owner(ours.gradient.data) == Device{DeviceKind::cuda, 0});
      CHECK(reinterpret_cast<std::uintptr_t>(ours.value.data) % 64 == 0);
      CHECK(reinterpret_cast<std::uintptr_t>(ours.gradient.data) % 64 == 0);
      const auto values = testing::to_host<float>(*runtime, ours.value.data, ours.value.count, device.stream.get());
      const auto own = theirs.value.as<float>();
      CHECK(same_bits(values, std::vector<float>(own.begin(), own.end())));
    }
  }
}

TEST_CASE("with our own products a perceptron on a device has the host's bits, with dropout too", "[device]") {
  for (const double dropout : {0.0, 0.3}) {
    const models::MlpOptions options{.sizes = {30, 24, 17, 10}, .seed = 2, .rows = 16, .dropout = dropout};
    const auto samples = random_samples<float>(300, 30, 10);
    Mlp<float> host(options);
    for (const auto& runtime : runtimes_under_test()) {
      INFO(runtime->name() << ", dropout " << dropout);
      OnDevice device(runtime, options);
      // One more row than there is room for, then fewer; more calls than there are places to prepare one in.
      for (const std::size_t rows : {16u, 17u, 3u, 1u, 12u}) {
        const models::SamplePlace place{.step = 7 + rows, .first_row = 40};
        host.set_place(place);
        device.model.set_place(place);
        const double expected = host.forward_backward(samples.rows(0, rows), samples.labels_of(0, rows));
        CHECK(device.model.forward_backward(samples.rows(0, rows), samples.labels_of(0, rows)) == expected);
        CHECK(same_bits(device.gradients(*runtime), gradients_of<float>(host)));
      }
      std::vector<double> ours(300), theirs(300);
      const models::Evaluation expected = host.evaluate(samples.all(), samples.labels, theirs);
      const models::Evaluation found = device.model.evaluate(samples.all(), samples.labels, ours);
      CHECK(found.samples == expected.samples);
      CHECK(found.correct == expected.correct);
      CHECK(found.loss_sum == expected.loss_sum);
      CHECK(same_bits(ours, theirs));
      CHECK(device.model.evaluate(samples.all(), samples.labels).loss_sum == expected.loss_sum);
      CHECK(device.model.evaluate(samples.rows(0, 0), samples.labels_of(0, 0)).samples == 0);
    }
  }
}

TEST_CASE("whatever multiplies, the gradients are the host's within rounding, and the same again", "[device]") {
  const models::MlpOptions options{.sizes = {64, 48, 10}, .seed = 3, .rows = 32};
  const auto samples = random_samples<float>(32, 64, 10);
  Mlp<float> host(options);
  const double loss = host.forward_backward(samples.all(), samples.labels);
  const std::vector<float> expected = gradients_of<float>(host);
  for (const auto& runtime : runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    DeviceMlp model(options, {runtime, stream.get()});
    INFO(runtime->name() << ", " << model.product());
    std::vector<float> before;
    for (int again = 0; again < 3; ++again) {
      CHECK(model.forward_backward(samples.all(), samples.labels) == Approx(loss).epsilon(1e-5));
      std::vector<float> gradients;
      for (const Parameter& each : model.parameters()) {
        const auto own = testing::to_host<float>(*runtime, each.gradient.data, each.gradient.count, stream.get());
        gradients.insert(gradients.end(), own.begin(), own.end());
      }
      REQUIRE(gradients.size() == expected.size());
      float worst = 0.0f;
      for (std::size_t i = 0; i < expected.size(); ++i) worst = std::max(worst, std::abs(gradients[i] - expected[i]));
      CHECK(worst < 1e-5f);
      if (again != 0) CHECK(same_bits(gradients, before));
      before = gradients;
    }
  }
}

TEST_CASE("gradients on a device are the differences of the loss", "[device]") {
  for (const auto& runtime : runtimes_under_test()) {
    OnDevice device(runtime, {.sizes = {5, 6, 3}, .seed = 4, .rows = 8});
    const auto samples = random_samples<float>(8, 5, 3);
    device.model.forward_backward(samples.all(), samples.labels);
    for (const Parameter& parameter : device.model.parameters()) {
      const auto gradient =
          testing::to_host<float>(*runtime, parameter.gradient.data, parameter.gradient.count, device.stream.get());
      auto values = testing::to_host<float>(*runtime, parameter.value.data, parameter.value.count, device.stream.get());
      for (std::size_t e = 0; e < values.size(); e += 3) {
        INFO(runtime->name() << ": " << parameter.name << "[" << e << "]");
        constexpr float distance = 4e-3f;
        const float own = values[e];
        const auto loss_at = [&](float value) {
          values[e] = value;
          runtime->copy(parameter.value.data, values.data(), parameter.value.size_bytes(), device.stream.get());
          device.stream.synchronize();
          return device.model.evaluate(samples.all(), samples.labels).loss_sum / 8.0;
        };
        const double slope = (loss_at(own + distance) - loss_at(own - distance)) / (2.0 * distance);
        loss_at(own);
        CHECK(slope == Approx(gradient[e]).margin(2e-3));
      }
    }
  }
}

TEST_CASE("each gradient is announced once its work is in the stream, the last parameter first", "[device]") {
  for (const auto& runtime : runtimes_under_test()) {
    OnDevice device(runtime, {.sizes = {12, 9, 4}, .seed = 1, .rows = 6});
    const auto samples = random_samples<float>(6, 12, 4);
    const auto& parameters = device.model.parameters();
    std::vector<device::PinnedBuffer> seen;
    std::vector<std::size_t> order;
    bool forward_done = false;
    device.model.forward_backward(
        samples.all(), samples.labels,
        [&](std::size_t p) {
          CHECK(forward_done);
          order.push_back(p);
          seen.emplace_back(runtime, parameters[p].gradient.size_bytes());
          runtime->copy(seen.back().data(), parameters[p].gradient.data, parameters[p].gradient.size_bytes(),
                        device.stream.get());
        },
        [&] { forward_done = true; });
    CHECK(order == std::vector<std::size_t>{3, 2, 1, 0});
    device.stream.synchronize();
    for (std::size_t k = 0; k < order.size(); ++k) {
      const Parameter& parameter = parameters[order[k]];
      const auto final = testing::to_host<std::byte>(*runtime, parameter.gradient.data, parameter.gradient.size_bytes(),
                                                     device.stream.get());
      CHECK(std::memcmp(seen[k].data(), final.data(), final.size()) == 0);
    }
  }
}

TEST_CASE("many calls are started before the first loss is asked for, and what they were given may change at once",
          "[device]") {
  const models::MlpOptions options{.sizes = {10, 8, 3}, .seed = 1, .rows = 4};
  Mlp<float> host(options);
  for (const auto& runtime : runtimes_under_test()) {
    OnDevice device(runtime, options);
    auto samples = random_samples<float>(4, 10, 3, 9);
    for (int call = 0; call < 9; ++call) {
      samples = random_samples<float>(4, 10, 3, 10 + static_cast<std::uint64_t>(call));
      std::size_t announced = 0;
      device.model.start(samples.all(), samples.labels, [&](std::size_t) { ++announced; });
      CHECK(announced == 4);
    }
    const double expected = host.forward_backward(samples.all(), samples.labels);
    std::fill(samples.features.span().begin(), samples.features.span().end(), 0.0f);
    CHECK(device.model.loss() == expected);
    CHECK(device.model.loss_is_known());
    CHECK(same_bits(device.gradients(*runtime), gradients_of<float>(host)));
  }
}

TEST_CASE("features that lie on the device are taken from there", "[device]") {
  const models::MlpOptions options{.sizes = {10, 8, 3}, .seed = 1, .rows = 5};
  const auto samples = random_samples<float>(5, 10, 3);
  Mlp<float> host(options);
  for (const auto& runtime : runtimes_under_test()) {
    OnDevice device(runtime, options);
    const auto features = testing::on_device<float>(runtime, samples.features.span());
    CHECK(device.model.forward_backward(features.view(DType::f32, 50), samples.labels) ==
          host.forward_backward(samples.all(), samples.labels));
    CHECK(same_bits(device.gradients(*runtime), gradients_of<float>(host)));
    CHECK(device.model.evaluate(features.view(DType::f32, 50), samples.labels).loss_sum ==
          host.evaluate(samples.all(), samples.labels).loss_sum);
    CHECK_THAT(error_of([&] {
                 device.model.forward_backward(features.view(DType::f32, 10, 4), samples.labels_of(0, 1));
               }).message,
               Catch::Matchers::Contains("16 bytes"));
  }
}

TEST_CASE("gradients of a device go where somebody else wants them on that device, and nowhere else", "[device]") {
  for (const auto& runtime : runtimes_under_test()) {
    const models::MlpOptions options{.sizes = {10, 8, 3}, .seed = 1, .rows = 5};
    const auto samples = random_samples<float>(5, 10, 3);
    OnDevice device(runtime, options);
    device.model.forward_backward(samples.all(), samples.labels);
    const std::vector<float> expected = device.gradients(*runtime);
    device::Buffer bucket(runtime, 0, 4096);
    std::vector<Parameter> views = device.model.parameters();
    std::size_t offset = 0;
    for (Parameter& each : views) {
      each.gradient = bucket.view(DType::f32, each.gradient.count, offset);
      offset += (each.gradient.size_bytes() + 63) / 64 * 64;
    }
    device.model.use_gradients(views);
    device.model.forward_backward(samples.all(), samples.labels);
    CHECK(device.model.parameters()[0].gradient.data == static_cast<void*>(bucket.data()));
    CHECK(same_bits(device.gradients(*runtime), expected));

    std::vector<float> on_host(4096);
    views[1].gradient = std::span(on_host).first(views[1].gradient.count);
    const Error refused = error_of([&] { device.model.use_gradients(views); });
    CHECK(refused.code == ErrorCode::invalid_argument);
    CHECK(refused.message == "the gradient for 'layer0.bias' is not memory of device 0 aligned to 64 bytes");
    device.stream.synchronize();
  }
}

TEST_CASE("a call without rows leaves zeros, announces every gradient and has loss 0", "[device]") {
  for (const auto& runtime : runtimes_under_test()) {
    OnDevice device(runtime, {.sizes = {10, 8, 3}, .seed = 1});
    const auto samples = random_samples<float>(1, 10, 3);
    std::vector<std::size_t> order;
    CHECK(device.model.forward_backward(samples.rows(0, 0), samples.labels_of(0, 0),
                                        [&](std::size_t p) { order.push_back(p); }) == 0.0);
    CHECK(order == std::vector<std::size_t>{3, 2, 1, 0});
    for (const float each : device.gradients(*runtime)) CHECK(each == 0.0f);
  }
}

TEST_CASE("what does not fit a perceptron on a device is refused, and what a listener throws leaves the call",
          "[device]") {
  const auto runtime = device::emulated_runtime({.devices = 2});
  OnDevice device(runtime, {.sizes = {10, 8, 3}, .seed = 1});
  const auto samples = random_samples<float>(4, 10, 3);
  const auto refusal = [&](ConstTensorView features, std::span<const std::uint8_t> labels) {
    return error_of([&] { device.model.forward_backward(features, labels); }).message;
  };
  CHECK(refusal(samples.rows(0, 3), samples.labels) == "30 features are not 4 rows of 10");
  std::vector<std::uint8_t> labels = samples.labels;
  labels[2] = 3;
  CHECK(refusal(samples.all(), labels) == "label 3 of row 2 is not below 3");
  const device::Buffer elsewhere(runtime, 1, 400);
  CHECK(refusal(elsewhere.view(DType::f32, 40), samples.labels) == "features of device 1 for a model on device 0");
  CHECK(error_of([&] { OnDevice(runtime, {.sizes = {10}}); }).code == ErrorCode::invalid_argument);

  CHECK_THROWS_AS(device.model.forward_backward(samples.all(), samples.labels,
                                                [](std::size_t p) {
                                                  if (p == 2) throw std::runtime_error("enough");
                                                }),
                  std::runtime_error);
  Mlp<float> host({.sizes = {10, 8, 3}, .seed = 1});
  for (int again = 0; again < 3; ++again) {
    CHECK(device.model.forward_backward(samples.all(), samples.labels) ==
          host.forward_backward(samples.all(), samples.labels));
  }
}
