// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/mlp.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "unit/data/heap_counter.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace trireme;
using models::Mlp;
using testing::error_of;
using testing::gradients_of;
using testing::poison_gradients;
using testing::random_samples;
using testing::same_bits;
using testing::Samples;

namespace {

/// The mean cross-entropy by the definition, one sample after the other in plain loops.
double plain_loss(const Mlp<double>& model, const Samples<double>& samples) {
  double sum = 0.0;
  for (std::size_t row = 0; row < samples.labels.size(); ++row) {
    std::vector<double> x(samples.features.data() + row * samples.inputs,
                          samples.features.data() + (row + 1) * samples.inputs);
    const auto& parameters = model.parameters();
    for (std::size_t p = 0; p < parameters.size(); p += 2) {
      const auto weight = parameters[p].value.as<double>();
      const auto bias = parameters[p + 1].value.as<double>();
      std::vector<double> y(bias.begin(), bias.end());
      for (std::size_t o = 0; o < y.size(); ++o) {
        for (std::size_t i = 0; i < x.size(); ++i) y[o] += weight[o * x.size() + i] * x[i];
        if (p + 2 < parameters.size()) y[o] = std::max(y[o], 0.0);
      }
      x = y;
    }
    double normaliser = 0.0;
    for (double z : x) normaliser += std::exp(z);
    sum += std::log(normaliser) - x[samples.labels[row]];
  }
  return sum / static_cast<double>(samples.labels.size());
}

}  // namespace

TEST_CASE("Mlp has its parameters in declaration order, aligned, of the documented shapes") {
  const Mlp<float> model({.sizes = {784, 100, 10}});
  const auto& parameters = model.parameters();
  REQUIRE(parameters.size() == 4);
  const std::vector<std::string> names = {"layer0.weight", "layer0.bias", "layer1.weight", "layer1.bias"};
  const std::vector<std::vector<std::int64_t>> shapes = {{100, 784}, {100}, {10, 100}, {10}};
  for (std::size_t p = 0; p < 4; ++p) {
    CHECK(parameters[p].name == names[p]);
    CHECK(parameters[p].shape == shapes[p]);
    std::size_t count = 1;
    for (auto extent : shapes[p]) count *= static_cast<std::size_t>(extent);
    for (const TensorView& view : {parameters[p].value, parameters[p].gradient}) {
      CHECK(view.count == count);
      CHECK(view.dtype == DType::f32);
      CHECK(reinterpret_cast<std::uintptr_t>(view.data) % 64 == 0);
    }
  }
}

TEST_CASE("initial values depend on seed, parameter and element only, and fill their interval") {
  const Mlp<double> model({.sizes = {49, 300, 10}, .seed = 3});
  const Mlp<double> again({.sizes = {49, 300, 10}, .seed = 3, .rows = 7});
  const Mlp<double> wider({.sizes = {49, 400, 10}, .seed = 3});
  const Mlp<double> other({.sizes = {49, 300, 10}, .seed = 4});
  const Mlp<float> narrow({.sizes = {49, 300, 10}, .seed = 3});
  for (std::size_t p = 0; p < 4; ++p) {
    const auto values = model.parameters()[p].value.as<double>();
    const double bound = 1.0 / std::sqrt(p < 2 ? 49.0 : 300.0);
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    CHECK(*low >= -bound);
    CHECK(*high < bound);
    const auto same = again.parameters()[p].value.as<double>();
    CHECK(std::equal(values.begin(), values.end(), same.begin()));
    const auto different = other.parameters()[p].value.as<double>();
    CHECK_FALSE(std::equal(values.begin(), values.end(), different.begin()));
    const auto rounded = narrow.parameters()[p].value.as<float>();
    CHECK(std::equal(values.begin(), values.end(), rounded.begin(),
                     [](double exact, float f) { return static_cast<float>(exact) == f; }));
    // Element e is word e of the parameter's stream, whatever surrounds it.
    const std::size_t e = values.size() - 1;
    const double u = data::unit_interval(data::philox_at(data::stream_key(3, p), e));
    CHECK(values[e] == (2.0 * u - 1.0) * bound);
  }
  const auto values = model.parameters()[0].value.as<double>();
  const auto prefix = wider.parameters()[0].value.as<double>();
  CHECK(std::equal(values.begin(), values.end(), prefix.begin()));
  double mean = 0.0;
  double square = 0.0;
  for (double value : values) {
    mean += value / static_cast<double>(values.size());
    square += value * value / static_cast<double>(values.size());
  }
  CHECK(std::abs(mean) < 0.005);
  CHECK(square == Approx(1.0 / 49.0 / 3.0).epsilon(0.03));
}

TEST_CASE("loss and gradients are those of the definition") {
  const auto sizes = GENERATE(values<std::vector<std::size_t>>({{5, 7, 6, 4}, {6, 3}, {17, 33, 2}}));
  Mlp<double> model({.sizes = sizes, .seed = 2});
  const auto samples = random_samples<double>(9, sizes.front(), sizes.back());
  poison_gradients(model);
  const double loss = model.forward_backward(samples.all(), samples.labels);
  REQUIRE(loss == Approx(plain_loss(model, samples)).epsilon(1e-13));
  for (const Parameter& parameter : model.parameters()) {
    const auto value = parameter.value.as<double>();
    const auto gradient = parameter.gradient.as<double>();
    double largest = 0.0;
    double error = 0.0;
    for (std::size_t e = 0; e < value.size(); ++e) {
      const double kept = value[e];
      constexpr double h = 1e-5;
      value[e] = kept + h;
      const double above = plain_loss(model, samples);
      value[e] = kept - h;
      const double below = plain_loss(model, samples);
      value[e] = kept;
      largest = std::max(largest, std::abs(gradient[e]));
      error = std::max(error, std::abs(gradient[e] - (above - below) / (2 * h)));
    }
    CAPTURE(parameter.name, error, largest);
    CHECK(largest > 1e-4);
    CHECK(error <= 1e-6 * largest);
  }
}

TEST_CASE("f32 gradients agree with f64 ones within rounding") {
  Mlp<float> single({.sizes = {50, 64, 32, 10}, .seed = 2});
  Mlp<double> twice({.sizes = {50, 64, 32, 10}, .seed = 2});
  const auto samples32 = random_samples<float>(64, 50, 10);
  auto samples64 = random_samples<double>(64, 50, 10);
  for (std::size_t i = 0; i < samples64.features.size(); ++i)
    samples64.features.data()[i] = samples32.features.data()[i];
  for (std::size_t p = 0; p < 6; ++p) {
    const auto from = single.parameters()[p].value.as<float>();
    std::copy(from.begin(), from.end(), twice.parameters()[p].value.as<double>().begin());
  }
  CHECK(single.forward_backward(samples32.all(), samples32.labels) ==
        Approx(twice.forward_backward(samples64.all(), samples64.labels)).epsilon(1e-6));
  for (std::size_t p = 0; p < 6; ++p) {
    const auto a = single.parameters()[p].gradient.as<float>();
    const auto b = twice.parameters()[p].gradient.as<double>();
    double largest = 0.0;
    double error = 0.0;
    for (std::size_t e = 0; e < a.size(); ++e) {
      largest = std::max(largest, std::abs(b[e]));
      error = std::max(error, std::abs(static_cast<double>(a[e]) - b[e]));
    }
    CHECK(error < 1e-5 * largest);
  }
}

TEST_CASE("every gradient is announced once, last layer first, and is final by then") {
  Mlp<double> model({.sizes = {5, 7, 6, 4}});
  const std::size_t rows = GENERATE(0u, 1u, 9u);
  const auto samples = random_samples<double>(rows, 5, 4);
  poison_gradients(model);
  std::vector<std::size_t> order;
  std::vector<std::vector<double>> announced(6);
  model.forward_backward(samples.all(), samples.labels, [&](std::size_t p) {
    order.push_back(p);
    const auto gradient = model.parameters().at(p).gradient.as<double>();
    announced[p].assign(gradient.begin(), gradient.end());
    for (std::size_t later = 0; later < p; ++later) {  // nothing below has been written yet
      REQUIRE(std::isnan(model.parameters()[later].gradient.as<double>()[0]));
    }
  });
  REQUIRE(order == std::vector<std::size_t>{5, 4, 3, 2, 1, 0});
  for (std::size_t p = 0; p < 6; ++p) {
    const auto gradient = model.parameters()[p].gradient.as<double>();
    REQUIRE(same_bits(announced[p], {gradient.begin(), gradient.end()}));
  }
}

TEST_CASE("the end of the forward pass is announced once, before the first gradient, also without rows") {
  Mlp<float> model({.sizes = {5, 4, 3}, .seed = 2});
  const auto samples = random_samples<float>(7, 5, 3);
  for (const std::size_t rows : {std::size_t{7}, std::size_t{0}}) {
    std::string heard;
    model.forward_backward(
        samples.rows(0, rows), samples.labels_of(0, rows), [&](std::size_t) { heard += "r"; }, [&] { heard += "f"; });
    CHECK(heard == "frrrr");
  }
}

TEST_CASE("the gradient of a batch is the weighted mean of the gradients of its parts") {
  Mlp<double> model({.sizes = {20, 30, 25, 5}, .seed = 6});
  const auto samples = random_samples<double>(64, 20, 5);
  const double loss = model.forward_backward(samples.all(), samples.labels);
  const auto whole = gradients_of<double>(model);
  std::vector<double> mean(whole.size());
  double mean_loss = 0.0;
  const std::vector<std::size_t> cuts = {0, 1, 8, 8, 40, 64};  // an empty part among them
  for (std::size_t part = 0; part + 1 < cuts.size(); ++part) {
    const double weight = static_cast<double>(cuts[part + 1] - cuts[part]) / 64.0;
    mean_loss += weight * model.forward_backward(samples.rows(cuts[part], cuts[part + 1]),
                                                 samples.labels_of(cuts[part], cuts[part + 1]));
    const auto gradient = gradients_of<double>(model);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += weight * gradient[i];
  }
  CHECK(mean_loss == Approx(loss).epsilon(1e-13));
  double largest = 0.0;
  double error = 0.0;
  for (std::size_t i = 0; i < mean.size(); ++i) {
    largest = std::max(largest, std::abs(whole[i]));
    error = std::max(error, std::abs(mean[i] - whole[i]));
  }
  CHECK(error <= 1e-12 * largest);
}

TEST_CASE("no rows give loss 0 and gradients 0") {
  Mlp<float> model({.sizes = {5, 7, 4}});
  poison_gradients(model);
  REQUIRE(model.forward_backward(ConstTensorView(nullptr, 0, DType::f32), {}) == 0.0);
  const auto gradients = gradients_of<float>(model);
  REQUIRE(same_bits(gradients, std::vector<float>(gradients.size(), 0.0f)));
  const auto evaluation = model.evaluate(ConstTensorView(nullptr, 0, DType::f32), {});
  REQUIRE(evaluation.samples == 0);
  REQUIRE(evaluation.loss_sum == 0.0);
}

TEST_CASE("the bits of a call depend on its samples only, not on history, room or address") {
  const models::MlpOptions options{.sizes = {40, 64, 48, 10}, .seed = 9, .rows = 64};
  Mlp<float> model(options);
  const auto samples = random_samples<float>(100, 40, 10);
  const double loss = model.forward_backward(samples.rows(0, 24), samples.labels_of(0, 24));
  const auto expected = gradients_of<float>(model);
  SECTION("after other calls that needed more room") {
    model.forward_backward(samples.all(), samples.labels);
    model.evaluate(samples.all(), samples.labels);
    CHECK(model.forward_backward(samples.rows(0, 24), samples.labels_of(0, 24)) == loss);
    CHECK(same_bits(gradients_of<float>(model), expected));
  }
  SECTION("in another model of another workspace") {
    Mlp<float> other({.sizes = options.sizes, .seed = 9, .rows = 1});
    CHECK(other.forward_backward(samples.rows(0, 24), samples.labels_of(0, 24)) == loss);
    CHECK(same_bits(gradients_of<float>(other), expected));
  }
  SECTION("from another address, aligned or not") {
    data::AlignedBuffer<float> moved(24 * 40 + 16);
    for (std::size_t shift : {0u, 1u, 3u, 8u}) {
      std::copy_n(samples.features.data(), 24 * 40, moved.data() + shift);
      const ConstTensorView view(moved.data() + shift, 24 * 40, DType::f32);
      CHECK(model.forward_backward(view, samples.labels_of(0, 24)) == loss);
      CHECK(same_bits(gradients_of<float>(model), expected));
    }
  }
  SECTION("after the model has moved") {
    const void* address = model.parameters()[0].value.data;
    Mlp<float> moved = std::move(model);
    CHECK(moved.parameters()[0].value.data == address);
    CHECK(moved.forward_backward(samples.rows(0, 24), samples.labels_of(0, 24)) == loss);
    CHECK(same_bits(gradients_of<float>(moved), expected));
  }
}

TEST_CASE("gradient descent learns what is learnable") {
  // Three classes by the largest of the first three inputs.
  auto samples = random_samples<float>(300, 6, 3, 5);
  for (std::size_t row = 0; row < 300; ++row) {
    const float* x = samples.features.data() + row * 6;
    samples.labels[row] = static_cast<std::uint8_t>(std::max_element(x, x + 3) - x);
  }
  Mlp<float> model({.sizes = {6, 32, 3}, .seed = 1});
  const auto before = model.evaluate(samples.all(), samples.labels);
  for (int step = 0; step < 300; ++step) {
    model.forward_backward(samples.all(), samples.labels);
    for (const Parameter& parameter : model.parameters()) {
      const auto value = parameter.value.as<float>();
      const auto gradient = parameter.gradient.as<float>();
      for (std::size_t e = 0; e < value.size(); ++e) value[e] -= 0.5f * gradient[e];
    }
  }
  const auto after = model.evaluate(samples.all(), samples.labels);
  CHECK(before.samples == 300);
  CHECK(before.correct < 200);
  CHECK(after.correct > 285);
  CHECK(after.loss_sum < 0.3 * before.loss_sum);
}

TEST_CASE("evaluate counts and sums as forward_backward does, block by block, and leaves gradients alone") {
  Mlp<double> model({.sizes = {12, 16, 7}, .seed = 4});
  constexpr std::size_t rows = 600;  // two whole blocks and a part
  const auto samples = random_samples<double>(rows, 12, 7);
  const double mean_loss = model.forward_backward(samples.all(), samples.labels);
  const auto gradients = gradients_of<double>(model);
  const auto evaluation = model.evaluate(samples.all(), samples.labels);
  CHECK(evaluation.samples == rows);
  CHECK(evaluation.loss_sum == Approx(mean_loss * rows).epsilon(1e-13));
  CHECK(same_bits(gradients_of<double>(model), gradients));

  std::size_t correct = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    // The label with the least loss is the largest output.
    std::vector<double> losses;
    for (std::uint8_t label = 0; label < 7; ++label) {
      losses.push_back(model.evaluate(samples.rows(row, row + 1), std::span(&label, 1)).loss_sum);
    }
    correct += std::min_element(losses.begin(), losses.end()) - losses.begin() == samples.labels[row] ? 1u : 0u;
  }
  CHECK(evaluation.correct == correct);

  std::vector<double> row_losses(rows);
  const auto again = model.evaluate(samples.all(), samples.labels, row_losses);
  CHECK(again.correct == evaluation.correct);
  CHECK(again.loss_sum == evaluation.loss_sum);
  std::vector<double> tail_losses(rows - 512);
  const auto head = model.evaluate(samples.rows(0, 512), samples.labels_of(0, 512));
  const auto tail = model.evaluate(samples.rows(512, rows), samples.labels_of(512, rows), tail_losses);
  CHECK(head.correct + tail.correct == evaluation.correct);
  // A share cut at a multiple of evaluation_rows meets the same shapes: the same bits.
  CHECK(same_bits(tail_losses, std::vector<double>(row_losses.begin() + 512, row_losses.end())));
  CHECK(error_of([&] { model.evaluate(samples.all(), samples.labels, tail_losses); }).code ==
        ErrorCode::invalid_argument);
}

TEST_CASE("Mlp uses no heap in a call whose rows fit") {
  Mlp<float> model({.sizes = {784, 64, 64, 10}, .rows = 64});
  const auto samples = random_samples<float>(64, 784, 10);
  std::size_t ready = 0;
  model.forward_backward(samples.all(), samples.labels);
  const auto before = testing::heap_calls();
  for (int step = 0; step < 20; ++step) {
    model.forward_backward(samples.all(), samples.labels, [&](std::size_t) { ++ready; });
    model.forward_backward(samples.rows(0, 3), samples.labels_of(0, 3), [&](std::size_t) { ++ready; });
    model.evaluate(samples.all(), samples.labels);
  }
  const auto after = testing::heap_calls();
  REQUIRE(after == before);
  REQUIRE(ready == 240);
}

TEST_CASE("layers whose weights no memory holds are refused, also where their number is more than 64 bits count") {
  constexpr std::size_t most = 2147483647;
  for (const auto& sizes : {std::vector<std::size_t>{most, most, most, most, most, 4, 2},
                            std::vector<std::size_t>{std::size_t{1} << 20, std::size_t{1} << 20, 2}}) {
    const Error error = testing::error_of([&] { Mlp<float> model({.sizes = sizes}); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(testing::has(error.message, "more than 2^40 weights"));
  }
}

TEST_CASE("what the ready callback throws reaches the caller, and the model goes on working") {
  Mlp<float> model({.sizes = {5, 7, 4}});
  const auto samples = random_samples<float>(4, 5, 4);
  model.forward_backward(samples.all(), samples.labels);
  const auto expected = gradients_of<float>(model);
  CHECK_THROWS_AS(model.forward_backward(samples.all(), samples.labels,
                                         [](std::size_t p) {
                                           if (p == 2) throw std::runtime_error("stop");
                                         }),
                  std::runtime_error);
  model.forward_backward(samples.all(), samples.labels);
  CHECK(same_bits(gradients_of<float>(model), expected));
}

TEST_CASE("use_gradients() of the model's own gradients changes nothing") {
  Mlp<float> model({.sizes = {6, 5, 3}});
  std::vector<void*> before;
  for (const Parameter& each : model.parameters()) before.push_back(each.gradient.data);
  model.use_gradients(model.parameters());
  for (std::size_t p = 0; p < before.size(); ++p) {
    const TensorView& gradient = model.parameters()[p].gradient;
    REQUIRE(gradient.data == before[p]);
    std::fill_n(static_cast<float*>(gradient.data), gradient.count, 1.0f);  // a sanitizer sees if it was given back
  }
}

TEST_CASE("use_gradients() moves where gradients are written, and changes no bit of them") {
  Mlp<float> model({.sizes = {5, 7, 4}});
  const auto samples = random_samples<float>(9, 5, 4);
  model.forward_backward(samples.all(), samples.labels);
  const auto expected = gradients_of<float>(model);
  std::vector<data::AlignedBuffer<float>> memory;
  std::vector<Parameter> elsewhere = model.parameters();
  for (auto& each : elsewhere) {
    memory.emplace_back(each.gradient.count);
    each.gradient = memory.back().span();
  }
  model.use_gradients(elsewhere);
  model.forward_backward(samples.all(), samples.labels);
  CHECK(same_bits(gradients_of<float>(model), expected));
  for (std::size_t p = 0; p < elsewhere.size(); ++p) CHECK(model.parameters()[p].gradient.data == memory[p].data());

  const auto refused = [&](const auto& change, const std::string& part) {
    std::vector<Parameter> wrong = elsewhere;
    change(wrong);
    const Error error = error_of([&] { model.use_gradients(wrong); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_THAT(error.message, Catch::Contains(part));
  };
  refused([](auto& list) { list.pop_back(); }, "gradients of 3 parameters");
  refused([](auto& list) { std::swap(list[0], list[2]); }, "'layer0.weight'");
  refused([](auto& list) { --list[1].gradient.count; }, "'layer0.bias'");
  refused([](auto& list) { list[1].gradient.dtype = DType::f64; }, "'layer0.bias'");
  refused([](auto& list) { list[3].gradient.data = nullptr; }, "aligned");
  refused([](auto& list) { list[3].gradient.data = static_cast<float*>(list[3].gradient.data) + 1; }, "aligned");
  for (std::size_t p = 0; p < elsewhere.size(); ++p) CHECK(model.parameters()[p].gradient.data == memory[p].data());
}

TEST_CASE("Mlp refuses sizes, features and labels that do not fit") {
  const auto refused = [](const auto& body) { return error_of(body).code == ErrorCode::invalid_argument; };
  CHECK(refused([] { Mlp<float>({.sizes = {}}); }));
  CHECK(refused([] { Mlp<float>({.sizes = {784}}); }));
  CHECK(refused([] { Mlp<float>({.sizes = {784, 0, 10}}); }));
  CHECK(refused([] { Mlp<float>({.sizes = {784, 1}}); }));
  CHECK(refused([] { Mlp<float>({.sizes = {784, 257}}); }));
  CHECK(refused([] { Mlp<float>({.sizes = {std::size_t{1} << 40, 10}}); }));

  Mlp<float> model({.sizes = {5, 7, 4}});
  const auto samples = random_samples<float>(4, 5, 4);
  const auto wrong_type = random_samples<double>(4, 5, 4);
  CHECK(refused([&] { model.forward_backward(samples.rows(0, 3), samples.labels); }));
  CHECK(refused([&] { model.forward_backward(wrong_type.all(), wrong_type.labels); }));
  CHECK(refused([&] { model.evaluate(samples.rows(0, 3), samples.labels); }));
  const std::vector<std::uint8_t> high = {0, 1, 4, 2};
  const Error error = error_of([&] { model.forward_backward(samples.all(), high); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK_THAT(error.message, Catch::Contains("label 4 of row 2"));
}
