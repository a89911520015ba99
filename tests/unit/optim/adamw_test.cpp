// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/adamw.hpp"

#include "tensors.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// The textbook, in f64, one element at a time, with the bias corrections written as in the paper.
class AdamWReference {
 public:
  AdamWReference(const AdamWOptions& options, std::vector<double> start)
      : options_(options), p_(std::move(start)), m_(p_.size()), v_(p_.size()) {}

  template <class T>
  void step(const std::vector<T>& gradient, double scale) {
    ++t_;
    const double correction1 = 1 - std::pow(options_.beta1, t_);
    const double correction2 = 1 - std::pow(options_.beta2, t_);
    for (std::size_t i = 0; i < p_.size(); ++i) {
      const double g = scale * static_cast<double>(gradient[i]);
      m_[i] = options_.beta1 * m_[i] + (1 - options_.beta1) * g;
      v_[i] = options_.beta2 * v_[i] + (1 - options_.beta2) * g * g;
      const double direction = (m_[i] / correction1) / (std::sqrt(v_[i] / correction2) + options_.epsilon);
      p_[i] -= options_.learning_rate * (direction + options_.weight_decay * p_[i]);
    }
  }
  const std::vector<double>& parameters() const { return p_; }
  const std::vector<double>& first() const { return m_; }
  const std::vector<double>& second() const { return v_; }

 private:
  AdamWOptions options_;
  std::vector<double> p_, m_, v_;
  int t_ = 0;
};

}  // namespace

TEMPLATE_TEST_CASE("AdamW follows its definition over 50 steps", "", double, float) {
  const AdamWOptions options =
      GENERATE(AdamWOptions{}, AdamWOptions{.learning_rate = 0.01, .weight_decay = 0.0},
               AdamWOptions{.learning_rate = 0.02, .beta1 = 0.5, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.3},
               AdamWOptions{.learning_rate = 0.005, .beta1 = 0.0, .beta2 = 0.95});
  const double scale = GENERATE(1.0, 0.3);
  constexpr std::size_t count = 203;
  auto parameter = uniforms<TestType>(2, count);
  AdamWReference reference(options, {parameter.begin(), parameter.end()});
  AdamW adamw(options);
  for (std::uint64_t step = 1; step <= 50; ++step) {
    auto gradient = uniforms<TestType>(200 + step, count);
    adamw.apply("weight", view(parameter), view(gradient), scale);
    reference.step(gradient, scale);
    CAPTURE(step, scale, options.beta1, options.weight_decay);
    require_close(parameter, reference.parameters(), 1.0);
  }
  REQUIRE(adamw.state_names() == std::vector<std::string>{"exp_avg", "exp_avg_sq"});
  const auto& state = adamw.states().at("weight");
  REQUIRE(state.steps == 50);
  const auto first = TensorView(state.tensors.at(0)).as<TestType>();
  const auto second = TensorView(state.tensors.at(1)).as<TestType>();
  require_close(std::vector<TestType>(first.begin(), first.end()), reference.first(), 1.0);
  require_close(std::vector<TestType>(second.begin(), second.end()), reference.second(), 1.0);
}

TEST_CASE("AdamW's first step has the length of the learning rate, whatever the gradient's size") {
  AdamW adamw({.learning_rate = 0.125, .epsilon = 0.0, .weight_decay = 0.0});
  std::vector<double> parameter{1.0, 1.0, 1.0}, gradient{1e-3, -1.0, 1e6};
  adamw.apply("p", view(parameter), view(gradient));
  require_close(parameter, {0.875, 1.125, 0.875});
}

TEST_CASE("AdamW's weight decay shrinks the parameter and does not enter the moments") {
  AdamW adamw({.learning_rate = 0.5, .weight_decay = 0.5});
  std::vector<double> parameter{8.0}, gradient{0.0};
  adamw.apply("p", view(parameter), view(gradient));
  REQUIRE(parameter[0] == 6.0);
  REQUIRE(TensorView(adamw.states().at("p").tensors[0]).as<double>()[0] == 0.0);
  REQUIRE(TensorView(adamw.states().at("p").tensors[1]).as<double>()[0] == 0.0);
}

TEST_CASE("AdamW corrects the bias of each parameter by that parameter's own steps") {
  AdamW together({.learning_rate = 0.01}), alone({.learning_rate = 0.01});
  std::vector<double> early{1.0}, late{1.0}, expected{1.0}, gradient{0.3};
  for (int i = 0; i < 5; ++i) together.apply("early", view(early), view(gradient));
  together.apply("late", view(late), view(gradient));
  alone.apply("late", view(expected), view(gradient));
  REQUIRE(late == expected);
  REQUIRE(together.states().at("early").steps == 5);
  REQUIRE(together.states().at("late").steps == 1);
}
