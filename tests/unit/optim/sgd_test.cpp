// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/sgd.hpp"

#include "tensors.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// The textbook, in f64, one element at a time.
class SgdReference {
 public:
  SgdReference(const SgdOptions& options, std::vector<double> start)
      : options_(options), p_(std::move(start)), b_(p_.size()) {}

  template <class T>
  void step(const std::vector<T>& gradient, double scale) {
    for (std::size_t i = 0; i < p_.size(); ++i) {
      double g = scale * static_cast<double>(gradient[i]) + options_.l2_penalty * p_[i];
      if (options_.momentum != 0) {
        b_[i] = first_ ? g : options_.momentum * b_[i] + (1 - options_.dampening) * g;
        g = options_.nesterov ? g + options_.momentum * b_[i] : b_[i];
      }
      p_[i] -= options_.learning_rate * g;
    }
    first_ = false;
  }
  const std::vector<double>& parameters() const { return p_; }
  const std::vector<double>& buffer() const { return b_; }

 private:
  SgdOptions options_;
  std::vector<double> p_, b_;
  bool first_ = true;
};

}  // namespace

TEMPLATE_TEST_CASE("Sgd follows its definition over 50 steps", "", double, float) {
  const SgdOptions options =
      GENERATE(SgdOptions{.learning_rate = 0.1}, SgdOptions{.learning_rate = 0.05, .momentum = 0.9},
               SgdOptions{.learning_rate = 0.05, .momentum = 0.8, .dampening = 0.3},
               SgdOptions{.learning_rate = 0.02, .momentum = 0.9, .nesterov = true},
               SgdOptions{.learning_rate = 0.1, .l2_penalty = 0.03},
               SgdOptions{.learning_rate = 0.03, .momentum = 0.9, .l2_penalty = 0.01, .nesterov = true},
               SgdOptions{.learning_rate = 0.03, .momentum = 0.7, .dampening = 0.5, .l2_penalty = 0.1});
  const double scale = GENERATE(1.0, 0.25, 0.3);
  constexpr std::size_t count = 203;
  auto parameter = uniforms<TestType>(1, count);
  SgdReference reference(options, {parameter.begin(), parameter.end()});
  Sgd sgd(options);
  for (std::uint64_t step = 1; step <= 50; ++step) {
    auto gradient = uniforms<TestType>(100 + step, count);
    sgd.apply("weight", view(parameter), view(gradient), scale);
    reference.step(gradient, scale);
    CAPTURE(step, scale, options.momentum, options.dampening, options.l2_penalty, options.nesterov);
    require_close(parameter, reference.parameters(), 1.0);
  }
  const auto& state = sgd.states().at("weight");
  REQUIRE(state.steps == 50);
  if (options.momentum == 0) {
    REQUIRE(sgd.state_names().empty());
    REQUIRE(state.tensors.empty());
  } else {
    REQUIRE(sgd.state_names() == std::vector<std::string>{"momentum_buffer"});
    const auto buffer = TensorView(state.tensors.at(0)).as<TestType>();
    require_close(std::vector<TestType>(buffer.begin(), buffer.end()), reference.buffer(), 1.0);
  }
}

TEST_CASE("Sgd's momentum buffer starts as the undamped gradient") {
  Sgd sgd({.learning_rate = 1.0, .momentum = 0.5, .dampening = 0.75});
  std::vector<double> parameter{1.0}, gradient{0.5};
  sgd.apply("p", view(parameter), view(gradient));
  REQUIRE(parameter[0] == 0.5);
  sgd.apply("p", view(parameter), view(gradient));  // buffer 0.5*0.5 + 0.25*0.5
  REQUIRE(parameter[0] == 0.125);
}

TEST_CASE("Sgd's learning rate may change between steps; it is not accumulated in the buffer") {
  Sgd sgd({.learning_rate = 1.0, .momentum = 0.5});
  std::vector<double> parameter{4.0}, gradient{1.0};
  sgd.apply("p", view(parameter), view(gradient));
  REQUIRE(parameter[0] == 3.0);
  sgd.set_learning_rate(0.5);
  REQUIRE(sgd.learning_rate() == 0.5);
  sgd.apply("p", view(parameter), view(gradient));  // buffer 1.5
  REQUIRE(parameter[0] == 2.25);
}
