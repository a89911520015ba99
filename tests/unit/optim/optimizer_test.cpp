// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/optimizer.hpp"

#include "tensors.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/sgd.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <memory>

using namespace trireme;
using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

std::unique_ptr<Optimizer> make(const std::string& rule) {
  if (rule == "sgd") return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.1});
  if (rule == "momentum") {
    return std::make_unique<Sgd>(
        SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .l2_penalty = 0.1, .nesterov = true});
  }
  return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.1});
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("state belongs to a parameter's name and counts its steps") {
  AdamW adamw({});
  std::vector<float> weight(10, 1.0f), bias(3, 1.0f), weight_gradient(10, 0.5f), bias_gradient(3, 0.5f);
  REQUIRE(adamw.states().empty());
  adamw.apply("weight", view(weight), view(weight_gradient));
  adamw.apply("weight", view(weight), view(weight_gradient));
  adamw.apply("bias", view(bias), view(bias_gradient));
  REQUIRE(adamw.states().size() == 2);
  REQUIRE(adamw.states().at("weight").steps == 2);
  REQUIRE(adamw.states().at("weight").count == 10);
  REQUIRE(adamw.states().at("bias").steps == 1);
  REQUIRE(adamw.states().at("bias").count == 3);
  REQUIRE(adamw.states().at("bias").dtype == DType::f32);
  for (const auto& tensor : adamw.states().at("bias").tensors) {
    REQUIRE(tensor.count == 3);
    REQUIRE(tensor.dtype == DType::f32);
  }
  // The state follows the name, not the memory: a model may be rebuilt elsewhere.
  std::vector<float> moved = weight;
  adamw.apply("weight", view(moved), view(weight_gradient));
  adamw.apply("weight", view(weight), view(weight_gradient));
  REQUIRE(adamw.states().at("weight").steps == 4);
}

TEST_CASE("a parameter whose count or dtype changed is refused by name, and nothing of it changes") {
  const auto rule = GENERATE(as<std::string>{}, "sgd", "momentum", "adamw");
  const auto optimizer = make(rule);
  std::vector<float> parameter(8, 1.0f), gradient(8, 1.0f);
  optimizer->apply("weight", view(parameter), view(gradient));
  const auto before = parameter;
  auto shorter = TensorView(parameter.data(), 7, DType::f32);
  REQUIRE_THROWS_WITH(optimizer->apply("weight", shorter, TensorView(gradient.data(), 7, DType::f32)),
                      Contains("'weight' had 8 f32 before, now 7 f32"));
  auto wider = TensorView(parameter.data(), 4, DType::f64);
  REQUIRE_THROWS_WITH(optimizer->apply("weight", wider, TensorView(gradient.data(), 4, DType::f64)),
                      Contains("'weight' had 8 f32 before, now 4 f64"));
  REQUIRE(same_bytes(parameter, before));
  REQUIRE(optimizer->states().at("weight").steps == 1);
}

TEST_CASE("a gradient of another count or dtype and dtypes without a rule are refused by name") {
  Sgd sgd({});
  std::vector<float> parameter(8, 1.0f), gradient(8, 1.0f);
  REQUIRE_THROWS_WITH(sgd.apply("weight", view(parameter), TensorView(gradient.data(), 7, DType::f32)),
                      Contains("'weight' has 8 f32, its gradient 7 f32"));
  REQUIRE_THROWS_WITH(sgd.apply("weight", view(parameter), TensorView(gradient.data(), 8, DType::i32)),
                      Contains("'weight' has 8 f32, its gradient 8 i32"));
  for (const DType dtype : {DType::f8e4m3, DType::i32, DType::u8}) {
    try {
      sgd.apply("weight", TensorView(parameter.data(), 8, dtype), TensorView(gradient.data(), 8, dtype));
      FAIL("not refused");
    } catch (const Exception& refused) {
      REQUIRE(refused.error().code == ErrorCode::unsupported);
      REQUIRE_THAT(refused.error().message, Contains("'weight'") && Contains(std::string(name_of(dtype))));
    }
  }
  REQUIRE(parameter == std::vector<float>(8, 1.0f));
  REQUIRE(sgd.states().empty());  // a refusal leaves no state behind
}

TEST_CASE("a parameter of no elements is updated without harm") {
  const auto optimizer = make(GENERATE(as<std::string>{}, "sgd", "momentum", "adamw"));
  optimizer->apply("empty", TensorView(nullptr, 0, DType::f32), TensorView(nullptr, 0, DType::f32));
  REQUIRE(optimizer->states().at("empty").steps == 1);
}

TEMPLATE_TEST_CASE("a scaled gradient is the scale times the gradient", "", double, float) {
  const auto rule = GENERATE(as<std::string>{}, "sgd", "momentum", "adamw");
  const auto scaled = make(rule), plain = make(rule);
  auto a = uniforms<TestType>(3, 100), b = a;
  for (std::uint64_t step = 0; step < 3; ++step) {
    auto gradient = uniforms<TestType>(10 + step, 100), quarter = gradient;
    for (auto& each : quarter) each *= TestType{0.25};
    scaled->apply("p", view(a), view(gradient), 0.25);  // a power of two: exact, hence the same bits
    plain->apply("p", view(b), view(quarter));
    REQUIRE(same_bytes(a, b));
  }
}

TEMPLATE_TEST_CASE("updating a parameter span by span gives the same bits as at once", "", double, float) {
  const auto rule = GENERATE(as<std::string>{}, "sgd", "momentum", "adamw");
  const auto optimizer = make(rule);
  constexpr std::size_t count = 1003;
  auto whole = uniforms<TestType>(4, count), cut = whole;
  const auto states = optimizer->state_names().size();
  std::vector<std::vector<TestType>> whole_state(states, std::vector<TestType>(count)), cut_state = whole_state;

  const auto update = [&](std::vector<TestType>& values, std::vector<std::vector<TestType>>& state,
                          std::vector<TestType>& gradient, std::size_t begin, std::size_t end, std::uint64_t step) {
    std::vector<TensorView> views;
    for (auto& each : state) views.push_back(std::span<TestType>(each).subspan(begin, end - begin));
    optimizer->update({.value = std::span<TestType>(values).subspan(begin, end - begin),
                       .gradient = std::span<TestType>(gradient).subspan(begin, end - begin),
                       .state = views,
                       .step = step,
                       .gradient_scale = 0.7},
                      optimizer->rates("p"));
  };
  for (std::uint64_t step = 1; step <= 4; ++step) {
    auto gradient = uniforms<TestType>(20 + step, count);
    update(whole, whole_state, gradient, 0, count, step);
    std::size_t begin = 0;
    for (const std::size_t end :
         {std::size_t{1}, std::size_t{8}, std::size_t{8}, std::size_t{77}, std::size_t{512}, count}) {
      update(cut, cut_state, gradient, begin, end, step);
      begin = end;
    }
  }
  REQUIRE(same_bytes(whole, cut));
  for (std::size_t i = 0; i < states; ++i) REQUIRE(same_bytes(whole_state[i], cut_state[i]));
}
