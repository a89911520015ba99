// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/gpt.hpp"

#include "gpt_definition.hpp"
#include "gpt_samples.hpp"
#include "support/failures.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "unit/data/heap_counter.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::models {

using namespace samples;

TEST_CASE("Gpt has its parameters in declaration order, aligned, of the documented shapes") {
  const Gpt<float> model(tiny);
  const auto& parameters = model.parameters();
  const std::vector<std::string> block = {"norm1.weight",
                                          "norm1.bias",
                                          "attention.qkv.weight",
                                          "attention.qkv.bias",
                                          "attention.projection.weight",
                                          "attention.projection.bias",
                                          "norm2.weight",
                                          "norm2.bias",
                                          "mlp.expand.weight",
                                          "mlp.expand.bias",
                                          "mlp.contract.weight",
                                          "mlp.contract.bias"};
  std::vector<std::string> names = {"token_embedding.weight", "position_embedding.weight"};
  for (const char* prefix : {"block0.", "block1."}) {
    for (const auto& name : block) names.push_back(prefix + name);
  }
  names.insert(names.end(), {"final_norm.weight", "final_norm.bias"});
  REQUIRE(parameters.size() == names.size());
  for (std::size_t p = 0; p < names.size(); ++p) {
    CHECK(parameters[p].name == names[p]);
    std::size_t count = 1;
    for (auto extent : parameters[p].shape) count *= static_cast<std::size_t>(extent);
    for (const TensorView& view : {parameters[p].value, parameters[p].gradient}) {
      CHECK(view.count == count);
      CHECK(view.dtype == DType::f32);
      CHECK(reinterpret_cast<std::uintptr_t>(view.data) % 64 == 0);
    }
  }
  using Shape = std::vector<std::int64_t>;
  CHECK(parameters[0].shape == Shape{11, 8});
  CHECK(parameters[1].shape == Shape{5, 8});
  CHECK(parameters[4].shape == Shape{24, 8});
  CHECK(parameters[6].shape == Shape{8, 8});
  CHECK(parameters[10].shape == Shape{32, 8});
  CHECK(parameters[12].shape == Shape{8, 32});
}

TEST_CASE("Gpt starts from seed, parameter and element: biases 0, norms 1, the others narrow") {
  const GptOptions options{.vocabulary = 50, .context = 16, .layers = 2, .heads = 4, .channels = 64, .seed = 9};
  const Gpt<double> model(options);
  const Gpt<float> narrow(options);
  for (std::size_t p = 0; p < model.parameters().size(); ++p) {
    const Parameter& parameter = model.parameters()[p];
    const auto values = parameter.value.as<double>();
    CAPTURE(parameter.name);
    if (parameter.shape.size() == 1) {
      const double expected =
          parameter.name.find("norm") != std::string::npos && testing::has(parameter.name, "weight");
      CHECK(std::all_of(values.begin(), values.end(), [&](double value) { return value == expected; }));
      continue;
    }
    const bool branch = testing::has(parameter.name, "projection") || testing::has(parameter.name, "contract");
    const double deviation = branch ? 0.02 / 2.0 : 0.02;
    double square = 0.0;
    for (double value : values) square += value * value / static_cast<double>(values.size());
    CHECK(std::sqrt(square) == Approx(deviation).epsilon(0.05));
    const double u = data::unit_interval(data::philox_at(data::stream_key(9, p), values.size() - 1));
    CHECK(values.back() == Approx((2.0 * u - 1.0) * deviation * std::sqrt(3.0)).epsilon(1e-14));
    CHECK(narrow.parameters()[p].value.as<float>().back() == static_cast<float>(values.back()));
  }
}

TEST_CASE("Gpt's logits and loss are those of the definition") {
  Gpt<double> model(tiny);
  stir(model);
  const Tokens rows = random_rows(tiny, 3);
  double sum = 0.0;
  for (std::size_t r = 0; r < 3; ++r) {
    const auto row = std::span(rows).subspan(r * 6, 6);
    const auto expected = plain_logits(model, row.first(5));
    const auto actual = model.logits(row.first(5));
    REQUIRE(actual.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      REQUIRE(actual[i] == Approx(expected[i]).epsilon(1e-11).margin(1e-12));
    for (std::size_t t = 0; t < 5; ++t) {
      double total = 0.0;
      for (std::size_t j = 0; j < 11; ++j) total += std::exp(expected[t * 11 + j]);
      sum += std::log(total) - expected[t * 11 + row[t + 1]];
    }
  }
  CHECK(model.forward_backward(rows, 3) == Approx(sum / 15.0).epsilon(1e-12));
  std::vector<double> losses(15);
  const auto evaluation = model.evaluate(rows, 3, losses);
  CHECK(evaluation.tokens == 15);
  CHECK(evaluation.loss_sum == Approx(sum).epsilon(1e-12));
  double again = 0.0;
  for (double loss : losses) again += loss;
  CHECK(again == Approx(sum).epsilon(1e-12));
}

TEST_CASE("every gradient of a Gpt is the slope of its loss, with recomputation and dropout too") {
  const bool recompute = GENERATE(false, true);
  const double dropout = GENERATE(0.0, 0.3);
  Gpt<double> model(with(tiny, recompute, dropout));
  model.set_place({.step = 4, .first_row = 10});
  stir(model);
  const Tokens rows = random_rows(tiny, 2);
  spoil_gradients(model);
  model.forward_backward(rows, 2);
  const auto gradients = all_gradients(model);
  std::size_t next = 0;
  for (const Parameter& parameter : model.parameters()) {
    double largest = 0.0, error = 0.0;
    for (double& value : parameter.value.as<double>()) {
      const double kept = value;
      constexpr double h = 1e-5;
      value = kept + h;
      const double above = model.forward_backward(rows, 2);
      value = kept - h;
      const double below = model.forward_backward(rows, 2);
      value = kept;
      const double gradient = gradients[next++];
      largest = std::max(largest, std::abs(gradient));
      error = std::max(error, std::abs(gradient - (above - below) / (2 * h)));
    }
    CAPTURE(parameter.name, error, largest, recompute, dropout);
    CHECK(largest > 1e-4);
    CHECK(error <= 1e-6 * std::max(largest, 0.01));
  }
}

TEST_CASE("f32 gradients of a Gpt agree with f64 ones within rounding") {
  const GptOptions options{.vocabulary = 40, .context = 12, .layers = 2, .heads = 2, .channels = 32, .seed = 5};
  Gpt<float> single(options);
  Gpt<double> twice(options);
  for (std::size_t p = 0; p < single.parameters().size(); ++p) {
    const auto from = single.parameters()[p].value.as<float>();
    std::copy(from.begin(), from.end(), twice.parameters()[p].value.as<double>().begin());
  }
  const Tokens rows = random_rows(options, 4);
  CHECK(single.forward_backward(rows, 4) == Approx(twice.forward_backward(rows, 4)).epsilon(1e-6));
  for (std::size_t p = 0; p < single.parameters().size(); ++p) {
    const auto a = single.parameters()[p].gradient.as<float>();
    const auto b = twice.parameters()[p].gradient.as<double>();
    double largest = 0.0, error = 0.0;
    for (std::size_t e = 0; e < a.size(); ++e) {
      largest = std::max(largest, std::abs(b[e]));
      error = std::max(error, std::abs(static_cast<double>(a[e]) - b[e]));
    }
    CAPTURE(single.parameters()[p].name, largest);
    CHECK(error < 2e-5 * largest);
  }
}

TEST_CASE("every gradient of a Gpt is announced once, from the last to the tied embedding, and is final by then") {
  const bool recompute = GENERATE(false, true);
  const std::size_t count = GENERATE(0u, 3u);
  Gpt<double> model(with(tiny, recompute, 0.1));
  const std::size_t parameters = model.parameters().size();
  spoil_gradients(model);
  std::string heard;
  std::vector<std::size_t> order;
  std::vector<std::vector<double>> announced(parameters);
  model.forward_backward(
      random_rows(tiny, count), count,
      [&](std::size_t p) {
        heard += 'r';
        order.push_back(p);
        const auto gradient = model.parameters().at(p).gradient.as<double>();
        announced[p].assign(gradient.begin(), gradient.end());
        for (std::size_t later = 1; later < p; ++later) {  // but for the tied embedding, nothing below has been written
          REQUIRE(std::isnan(model.parameters()[later].gradient.as<double>()[0]));
        }
      },
      [&] { heard += 'f'; });
  CHECK(heard == "f" + std::string(parameters, 'r'));
  REQUIRE(order.size() == parameters);
  for (std::size_t i = 0; i < parameters; ++i) CHECK(order[i] == parameters - 1 - i);
  for (std::size_t p = 0; p < parameters; ++p) {
    const auto gradient = model.parameters()[p].gradient.as<double>();
    CHECK(equal_bits(announced[p], {gradient.begin(), gradient.end()}));
    if (count == 0) CHECK(std::all_of(gradient.begin(), gradient.end(), [](double g) { return g == 0.0; }));
  }
}

TEST_CASE("the bits of a Gpt's call do not depend on what ran before, nor on the model having moved") {
  const GptOptions options = with({.vocabulary = 30, .context = 9, .layers = 2, .heads = 3, .channels = 24, .seed = 1},
                                  GENERATE(false, true), 0.1);
  const Tokens rows = random_rows(options, 7);
  const auto two = std::span(rows).first(20);
  Gpt<float> model(options);
  const double loss = model.forward_backward(two, 2);
  const auto expected = all_gradients(model);
  model.forward_backward(rows, 7);
  model.evaluate(rows, 7);
  model.generate(two.first(4), 3, 1.0, 1);
  CHECK(model.forward_backward(two, 2) == loss);
  CHECK(equal_bits(all_gradients(model), expected));
  Gpt<float> moved = std::move(model);
  CHECK(moved.forward_backward(two, 2) == loss);
  CHECK(equal_bits(all_gradients(moved), expected));
}

TEST_CASE("a Gpt's call whose rows fit the workspace takes nothing from the heap") {
  Gpt<float> model(with(tiny, true, 0.1));
  const Tokens rows = random_rows(tiny, 4);
  model.forward_backward(rows, 4);
  const auto before = testing::heap_calls();
  model.forward_backward(std::span(rows).first(18), 3);
  model.evaluate(rows, 4);
  CHECK(testing::heap_calls() == before);
}

TEST_CASE("over sequences of several tiles a Gpt's logits are those of the definition, its gradient the slope") {
  GptOptions options{.vocabulary = 11, .context = 130, .layers = 1, .heads = 2, .channels = 8, .seed = 3};
  options.dropout = GENERATE(0.0, 0.2);
  Gpt<double> model(options);
  stir(model);
  const Tokens rows = random_rows(options, 2);
  const auto expected = plain_logits(model, std::span(rows).first(130));
  const auto actual = model.logits(std::span(rows).first(130));
  double error = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) error = std::max(error, std::abs(actual[i] - expected[i]));
  CHECK(error < 1e-11);

  model.forward_backward(rows, 2);
  const auto gradients = all_gradients(model);
  data::PhiloxStream random(5);
  std::vector<double> direction;
  double slope = 0.0;
  for (double gradient : gradients) {
    direction.push_back(data::unit_interval(random.next()) - 0.5);
    slope += gradient * direction.back();
  }
  const auto move = [&](double h) {
    std::size_t next = 0;
    for (const Parameter& parameter : model.parameters()) {
      for (double& value : parameter.value.as<double>()) value += h * direction[next++];
    }
    return model.forward_backward(rows, 2);
  };
  const double above = move(1e-5);
  const double below = move(-2e-5);
  CHECK((above - below) / 2e-5 == Approx(slope).epsilon(1e-6));
}

}  // namespace trireme::models
