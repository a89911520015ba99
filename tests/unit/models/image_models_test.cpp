// SPDX-License-Identifier: Apache-2.0
// What Cnn and ResNet promise as classifiers.
#include "support/failures.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/resnet.hpp"
#include "unit/data/heap_counter.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>

using namespace trireme;
using models::Classifier;
using models::Cnn;
using models::ImageExtent;
using models::ResNet;
using testing::gradients_of;
using testing::random_samples;
using testing::same_bits;

namespace {

constexpr ImageExtent image{8, 6, 2};
constexpr std::size_t image_classes = 4;

models::CnnOptions small_cnn(std::uint64_t seed = 2) {
  return {.input = image, .convolutions = {3, 5}, .hidden = {7}, .classes = image_classes, .seed = seed, .rows = 8};
}

models::ResNetOptions small_resnet(std::uint64_t seed = 2) {
  return {.input = image, .stages = {3, 4}, .blocks = 2, .classes = image_classes, .seed = seed, .rows = 8};
}

template <class T>
std::unique_ptr<Classifier> small(const std::string& kind, std::uint64_t seed = 2) {
  if (kind == "cnn") return std::make_unique<Cnn<T>>(small_cnn(seed));
  return std::make_unique<ResNet<T>>(small_resnet(seed));
}

template <class T>
testing::Samples<T> images(std::size_t rows, std::uint64_t seed = 1) {
  return random_samples<T>(rows, image.elements(), image_classes, seed);
}

std::vector<std::string> names_of(const Classifier& model) {
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters()) names.push_back(parameter.name);
  return names;
}

std::vector<double> buffers_of(const Classifier& model) {
  std::vector<double> all;
  for (const Parameter& buffer : model.buffers()) {
    const auto values = buffer.value.as<double>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace

TEST_CASE("Cnn has its parameters in declaration order, aligned, of the documented shapes") {
  const Cnn<float> model({});
  CHECK(names_of(model) == std::vector<std::string>{"conv0.weight", "conv0.bias", "conv1.weight", "conv1.bias",
                                                    "dense0.weight", "dense0.bias", "dense1.weight", "dense1.bias"});
  CHECK(model.parameters()[0].shape == std::vector<std::int64_t>{16, 3, 3, 1});
  CHECK(model.parameters()[2].shape == std::vector<std::int64_t>{32, 3, 3, 16});
  CHECK(model.parameters()[4].shape == std::vector<std::int64_t>{128, 7 * 7 * 32});
  CHECK(model.parameters()[6].shape == std::vector<std::int64_t>{10, 128});
  CHECK(model.inputs() == 784);
  CHECK(model.classes() == 10);
  CHECK(model.description() == "cnn 28x28x1 conv 16-32 dense 128-10");
  CHECK(model.buffers().empty());
}

TEST_CASE("ResNet has its parameters and buffers in declaration order, of the documented shapes") {
  const ResNet<float> model({.stages = {4, 8}});
  CHECK(names_of(model) == std::vector<std::string>{"stem.conv.weight",
                                                    "stem.norm.gain",
                                                    "stem.norm.shift",
                                                    "stage0.block0.conv0.weight",
                                                    "stage0.block0.norm0.gain",
                                                    "stage0.block0.norm0.shift",
                                                    "stage0.block0.conv1.weight",
                                                    "stage0.block0.norm1.gain",
                                                    "stage0.block0.norm1.shift",
                                                    "stage1.block0.conv0.weight",
                                                    "stage1.block0.norm0.gain",
                                                    "stage1.block0.norm0.shift",
                                                    "stage1.block0.conv1.weight",
                                                    "stage1.block0.norm1.gain",
                                                    "stage1.block0.norm1.shift",
                                                    "stage1.block0.shortcut.conv.weight",
                                                    "stage1.block0.shortcut.norm.gain",
                                                    "stage1.block0.shortcut.norm.shift",
                                                    "head.weight",
                                                    "head.bias"});
  CHECK(model.parameters()[9].shape == std::vector<std::int64_t>{8, 3, 3, 4});
  CHECK(model.parameters()[15].shape == std::vector<std::int64_t>{8, 1, 1, 4});
  CHECK(model.parameters()[1].value.as<float>()[3] == 1.0f);
  CHECK(model.parameters()[2].value.as<float>()[3] == 0.0f);
  REQUIRE(model.buffers().size() == 12);
  CHECK(model.buffers()[0].name == "stem.norm.running_mean");
  CHECK(model.buffers()[11].name == "stage1.block0.shortcut.norm.running_variance");
  CHECK(model.buffers()[11].shape == std::vector<std::int64_t>{8});
  CHECK(model.buffers()[11].value.as<float>()[7] == 1.0f);
  CHECK(model.statistics().size() == 2 * (4 + 2 * 4 + 3 * 8));
  CHECK(model.description() == "resnet 28x28x1 stages 4-8 of 1 block");
}

TEST_CASE("Initial values of image models depend on seed, parameter and element only") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<double>(kind);
  const auto again = small<double>(kind);
  const auto other = small<double>(kind, 3);
  const auto narrow = small<float>(kind);
  for (std::size_t p = 0; p < model->parameters().size(); ++p) {
    const std::string& name = model->parameters()[p].name;
    const auto values = model->parameters()[p].value.as<double>();
    const auto same = again->parameters()[p].value.as<double>();
    const auto different = other->parameters()[p].value.as<double>();
    const auto rounded = narrow->parameters()[p].value.as<float>();
    CHECK(reinterpret_cast<std::uintptr_t>(values.data()) % 64 == 0);
    CHECK(std::equal(values.begin(), values.end(), same.begin()));
    const bool random = name.find("norm") == std::string::npos;
    CHECK(std::equal(values.begin(), values.end(), different.begin()) != random);
    CHECK(static_cast<float>(values[0]) == rounded[0]);
  }
  const double u = data::unit_interval(data::philox_at(data::stream_key(2, 0), 4));
  const double bound = kind == "cnn" ? 1.0 / std::sqrt(18.0) : std::sqrt(6.0 / 18.0);
  CHECK(model->parameters()[0].value.as<double>()[4] == (2.0 * u - 1.0) * bound);
}

TEST_CASE("The gradients of image models are those of their loss") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<double>(kind);
  const auto samples = images<double>(5);
  testing::poison_gradients(*model);
  const double loss = model->forward_backward(samples.all(), samples.labels);
  REQUIRE(loss > 0.5);
  const auto gradients = gradients_of<double>(*model);
  std::size_t at = 0;
  for (const Parameter& parameter : model->parameters()) {
    const auto value = parameter.value.as<double>();
    double largest = 0.0;
    double error = 0.0;
    for (std::size_t e = 0; e < value.size(); ++e, ++at) {
      const double kept = value[e];
      constexpr double h = 1e-5;
      value[e] = kept + h;
      const double above = model->forward_backward(samples.all(), samples.labels);
      value[e] = kept - h;
      const double below = model->forward_backward(samples.all(), samples.labels);
      value[e] = kept;
      largest = std::max(largest, std::abs(gradients[at]));
      error = std::max(error, std::abs(gradients[at] - (above - below) / (2 * h)));
    }
    CAPTURE(kind, parameter.name, error, largest);
    CHECK(largest > 1e-4);
    CHECK(error <= 1e-6 * largest);
  }
}

TEST_CASE("f32 gradients of image models agree with f64 ones within rounding") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto single = small<float>(kind);
  const auto twice = small<double>(kind);
  const auto samples32 = images<float>(16);
  auto samples64 = images<double>(16);
  for (std::size_t i = 0; i < samples64.features.size(); ++i)
    samples64.features.data()[i] = samples32.features.data()[i];
  for (std::size_t p = 0; p < single->parameters().size(); ++p) {
    const auto from = single->parameters()[p].value.as<float>();
    std::copy(from.begin(), from.end(), twice->parameters()[p].value.as<double>().begin());
  }
  CHECK(single->forward_backward(samples32.all(), samples32.labels) ==
        Approx(twice->forward_backward(samples64.all(), samples64.labels)).epsilon(1e-5));
  for (std::size_t p = 0; p < single->parameters().size(); ++p) {
    const auto a = single->parameters()[p].gradient.as<float>();
    const auto b = twice->parameters()[p].gradient.as<double>();
    double largest = 0.0;
    double error = 0.0;
    for (std::size_t e = 0; e < a.size(); ++e) {
      largest = std::max(largest, std::abs(b[e]));
      error = std::max(error, std::abs(static_cast<double>(a[e]) - b[e]));
    }
    CAPTURE(single->parameters()[p].name);
    CHECK(error < 2e-4 * largest);
  }
}

TEST_CASE("Image models announce every gradient once, last layer first, final by then") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<double>(kind);
  const std::size_t rows = GENERATE(0u, 1u, 9u);
  const auto samples = images<double>(rows);
  testing::poison_gradients(*model);
  const std::size_t count = model->parameters().size();
  std::vector<std::size_t> order;
  std::vector<std::vector<double>> announced(count);
  bool forward_done = false;
  model->forward_backward(
      samples.all(), samples.labels,
      [&](std::size_t p) {
        REQUIRE(forward_done);
        order.push_back(p);
        const auto gradient = model->parameters().at(p).gradient.as<double>();
        announced[p].assign(gradient.begin(), gradient.end());
      },
      [&] { forward_done = true; });
  REQUIRE(order.size() == count);
  for (std::size_t p = 0; p < count; ++p) {
    REQUIRE(order[p] == count - 1 - p);
    const auto gradient = model->parameters()[p].gradient.as<double>();
    REQUIRE(same_bits(announced[p], {gradient.begin(), gradient.end()}));
    if (rows == 0) REQUIRE(same_bits(announced[p], std::vector<double>(gradient.size(), 0.0)));
  }
}

TEST_CASE("The bits of an image model's call depend on its samples only, not on history, room or address") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<float>(kind);
  const auto samples = images<float>(40);
  const auto head = samples.rows(0, 11);
  const auto labels = samples.labels_of(0, 11);
  const double loss = model->forward_backward(head, labels);
  const auto expected = gradients_of<float>(*model);
  const std::vector<double> statistics(model->statistics().begin(), model->statistics().end());
  const auto require_same = [&](Classifier& other, ConstTensorView features) {
    CHECK(other.forward_backward(features, labels) == loss);
    CHECK(same_bits(gradients_of<float>(other), expected));
    CHECK(same_bits(std::vector<double>(other.statistics().begin(), other.statistics().end()), statistics));
  };
  SECTION("after other calls that needed more room, and buffers that moved") {
    model->forward_backward(samples.all(), samples.labels);
    model->evaluate(samples.all(), samples.labels);
    model->settle_buffers(std::vector<double>(model->statistics().size(), 3.0));
    require_same(*model, head);
  }
  SECTION("in another model") { require_same(*small<float>(kind), head); }
  SECTION("from an address that is not aligned") {
    data::AlignedBuffer<float> moved(11 * image.elements() + 3);
    std::copy_n(samples.features.data(), 11 * image.elements(), moved.data() + 3);
    require_same(*model, {moved.data() + 3, 11 * image.elements(), DType::f32});
  }
  SECTION("with gradients elsewhere") {
    std::vector<data::AlignedBuffer<float>> memory;
    std::vector<Parameter> elsewhere = model->parameters();
    for (auto& each : elsewhere) {
      memory.emplace_back(each.gradient.count);
      each.gradient = memory.back().span();
    }
    model->use_gradients(elsewhere);
    require_same(*model, head);
    CHECK(model->parameters()[0].gradient.data == memory[0].data());
    elsewhere[0].gradient.count -= 1;
    CHECK(testing::code_of([&] { model->use_gradients(elsewhere); }) == ErrorCode::invalid_argument);
  }
  SECTION("after what the callback threw") {
    CHECK_THROWS_AS(model->forward_backward(head, labels, [](std::size_t) { throw std::runtime_error("stop"); }),
                    std::runtime_error);
    require_same(*model, head);
  }
}

TEST_CASE("Image models use no heap in a call whose rows fit") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<float>(kind);
  const auto samples = images<float>(300);
  std::size_t ready = 0;
  model->forward_backward(samples.rows(0, 8), samples.labels_of(0, 8));
  model->evaluate(samples.all(), samples.labels);
  const std::vector<double> statistics(model->statistics().size(), 1.0);
  const auto before = testing::heap_calls();
  for (int step = 0; step < 5; ++step) {
    model->forward_backward(samples.rows(0, 8), samples.labels_of(0, 8), [&](std::size_t) { ++ready; });
    model->forward_backward(samples.rows(0, 3), samples.labels_of(0, 3), [&](std::size_t) { ++ready; });
    model->settle_buffers(statistics);
    model->evaluate(samples.all(), samples.labels);
  }
  const auto after = testing::heap_calls();
  REQUIRE(after == before);
  REQUIRE(ready == 10 * model->parameters().size());
}

TEST_CASE("Cnn evaluates as forward_backward does, ResNet by its running statistics, row by row the same") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<double>(kind);
  constexpr std::size_t rows = 600;
  const auto samples = images<double>(rows);
  const double mean_loss = model->forward_backward(samples.all(), samples.labels);
  const auto gradients = gradients_of<double>(*model);
  if (kind == "resnet") {
    const std::vector<double> statistics(model->statistics().begin(), model->statistics().end());
    for (int step = 0; step < 400; ++step) model->settle_buffers(statistics);
  }
  const auto buffers = buffers_of(*model);
  std::vector<double> losses(rows);
  const auto evaluation = model->evaluate(samples.all(), samples.labels, losses);
  CHECK(evaluation.samples == rows);
  // Running statistics that have arrived at those of the batch differ from them by biased against unbiased only.
  CHECK(evaluation.loss_sum == Approx(mean_loss * rows).epsilon(kind == "cnn" ? 1e-12 : 1e-3));
  CHECK(same_bits(gradients_of<double>(*model), gradients));
  CHECK(same_bits(buffers_of(*model), buffers));

  std::vector<double> tail(rows - 512);
  const auto head = model->evaluate(samples.rows(0, 512), samples.labels_of(0, 512));
  const auto rest = model->evaluate(samples.rows(512, rows), samples.labels_of(512, rows), tail);
  CHECK(head.correct + rest.correct == evaluation.correct);
  CHECK(same_bits(tail, std::vector<double>(losses.begin() + 512, losses.end())));
  const auto one = model->evaluate(samples.rows(77, 78), samples.labels_of(77, 78));
  CHECK(one.loss_sum == Approx(losses[77]).epsilon(1e-12));
}

TEST_CASE("A pass collects statistics and moves no buffer; settling moves each by the momentum towards its own") {
  ResNet<double> model(small_resnet());
  const auto before = buffers_of(model);
  const auto samples = images<double>(6);
  model.forward_backward(samples.all(), samples.labels);
  CHECK(same_bits(buffers_of(model), before));
  const std::vector<double> statistics(model.statistics().begin(), model.statistics().end());
  REQUIRE(statistics.size() == before.size());
  model.settle_buffers(statistics);
  const auto after = buffers_of(model);
  for (std::size_t i = 0; i < after.size(); ++i) {
    CHECK(after[i] == before[i] + 0.1 * (statistics[i] - before[i]));
  }
  // The first norm sees the stem's output: its variances are those of a convolution, far from 0.
  CHECK(statistics[3] > 0.01);

  CHECK(testing::code_of([&] { model.settle_buffers(std::vector<double>(3)); }) == ErrorCode::invalid_argument);
  Cnn<double> plain(small_cnn());
  plain.settle_buffers({});
  CHECK(testing::code_of([&] { plain.settle_buffers(std::vector<double>(3)); }) == ErrorCode::invalid_argument);
}

TEST_CASE("Image models learn what is learnable") {
  const std::string kind = GENERATE("cnn", "resnet");
  const auto model = small<float>(kind);
  // Which quarter of the image is bright.
  auto samples = images<float>(120, 7);
  for (std::size_t row = 0; row < 120; ++row) {
    const std::size_t label = samples.labels[row];
    for (std::size_t y = 0; y < 4; ++y) {
      for (std::size_t i = 0; i < 6; ++i) {
        const std::size_t line = y + 4 * (label / 2);
        samples.features.data()[row * image.elements() + (line * 6 + 3 * (label % 2)) * 2 + i] += 2.0f;
      }
    }
  }
  for (int step = 0; step < 150; ++step) {
    model->forward_backward(samples.all(), samples.labels);
    model->settle_buffers(model->statistics());
    for (const Parameter& parameter : model->parameters()) {
      const auto value = parameter.value.as<float>();
      const auto gradient = parameter.gradient.as<float>();
      for (std::size_t e = 0; e < value.size(); ++e) value[e] -= 0.2f * gradient[e];
    }
  }
  CHECK(model->evaluate(samples.all(), samples.labels).correct >= 114);
}

TEST_CASE("Image models refuse options and samples that do not fit") {
  const auto refusal = [](const auto& options) {
    using Options = std::decay_t<decltype(options)>;
    using Model = std::conditional_t<std::is_same_v<Options, models::CnnOptions>, Cnn<float>, ResNet<float>>;
    return testing::error_of([&] { Model{options}; });
  };
  const auto invalid = [&](const auto& options) { return refusal(options).code == ErrorCode::invalid_argument; };
  CHECK(invalid(models::CnnOptions{.input = {0, 28, 1}}));
  CHECK(invalid(models::CnnOptions{.input = {3, 28, 1}}));  // nothing is left after two halvings
  CHECK(invalid(models::CnnOptions{.convolutions = {16, 0}}));
  CHECK(invalid(models::CnnOptions{.hidden = {0}}));
  CHECK(invalid(models::CnnOptions{.classes = 1}));
  CHECK(invalid(models::CnnOptions{.classes = 257}));
  CHECK(invalid(models::ResNetOptions{.stages = {}}));
  CHECK(invalid(models::ResNetOptions{.blocks = 0}));
  CHECK(invalid(models::ResNetOptions{.momentum = 1.5}));
  CHECK(invalid(models::ResNetOptions{.epsilon = 0.0}));

  const auto model = small<float>("cnn");
  const auto samples = images<float>(4);
  CHECK(testing::code_of([&] { model->forward_backward(samples.rows(0, 3), samples.labels); }) ==
        ErrorCode::invalid_argument);
  const std::vector<std::uint8_t> high = {0, 1, 4, 2};
  CHECK_THAT(testing::error_of([&] { model->forward_backward(samples.all(), high); }).message,
             Catch::Contains("label 4 of row 2"));
}
