// SPDX-License-Identifier: Apache-2.0
// Parameters with settings of their own, and many tensors in one call.
#include "rules.hpp"
#include "tensors.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cstring>

using namespace trireme;
using namespace trireme::testing;
using Catch::Matchers::Contains;

TEST_CASE("a pattern takes the names it describes") {
  const auto takes = [](const char* pattern, const char* name) {
    return ParameterGroup{.parameters = {pattern}}.has(name);
  };
  REQUIRE(takes("layer0.bias", "layer0.bias"));
  REQUIRE_FALSE(takes("layer0.bias", "layer0.bias2"));
  REQUIRE(takes("*.bias", "layer0.bias"));
  REQUIRE(takes("*", ""));
  REQUIRE(takes("layers.*.weight", "layers.10.mlp.weight"));
  REQUIRE_FALSE(takes("layers.*.weight", "layers.10.mlp.weights"));
  REQUIRE(takes("a*b*c", "abbbxbc"));
  REQUIRE_FALSE(takes("a*b*c", "acb"));
  REQUIRE_FALSE(takes("", "a"));
  REQUIRE(ParameterGroup{.parameters = {"x", "*norm*"}}.has("layer.norm.gain"));
}

TEST_CASE("a parameter of a group has the group's settings, of the first group that has it") {
  AdamW optimizer({.learning_rate = 0.5, .l2_penalty = 0.25, .weight_decay = 0.125});
  optimizer.add_group({.name = "no decay", .parameters = {"*.bias"}, .l2_penalty = 0.0, .weight_decay = 0.0});
  optimizer.add_group({.name = "slow", .parameters = {"embedding*", "*.bias"}, .learning_rate_scale = 0.5});
  REQUIRE(optimizer.rates("w").learning_rate == 0.5);
  REQUIRE(optimizer.rates("w").weight_decay == 0.125);
  REQUIRE(optimizer.rates("a.bias").learning_rate == 0.5);
  REQUIRE(optimizer.rates("a.bias").l2_penalty == 0.0);
  REQUIRE(optimizer.rates("a.bias").weight_decay == 0.0);
  REQUIRE(optimizer.rates("embedding.weight").learning_rate == 0.25);
  REQUIRE(optimizer.rates("embedding.weight").weight_decay == 0.125);
  optimizer.set_learning_rate(0.25);  // a schedule reaches the groups
  REQUIRE(optimizer.rates("embedding.weight").learning_rate == 0.125);
}

TEST_CASE("an update in a group is that of an optimizer with the group's settings") {
  AdamW grouped({.learning_rate = 0.02, .weight_decay = 0.3});
  grouped.add_group({.name = "g", .parameters = {"bias"}, .learning_rate_scale = 0.5, .weight_decay = 0.0});
  AdamW alone({.learning_rate = 0.01, .weight_decay = 0.0});
  auto a = uniforms<float>(1, 100), b = a;
  for (std::uint64_t t = 0; t < 3; ++t) {
    auto gradient = uniforms<float>(10 + t, 100);
    grouped.apply("bias", view(a), view(gradient));
    alone.apply("bias", view(b), view(gradient));
  }
  REQUIRE(std::memcmp(a.data(), b.data(), 400) == 0);
}

TEST_CASE("a group that is added between steps holds from the next one on") {
  Sgd sgd({.learning_rate = 1.0});
  std::vector<double> p{0.0}, gradient{1.0};
  sgd.apply("w", view(p), view(gradient));
  REQUIRE(p[0] == -1.0);
  sgd.add_group({.name = "slow", .parameters = {"w"}, .learning_rate_scale = 0.5});
  sgd.apply("w", view(p), view(gradient));
  REQUIRE(p[0] == -1.5);
}

TEST_CASE("a group that cannot be is refused by its name") {
  Sgd sgd({});
  REQUIRE_THROWS_WITH(sgd.add_group({.name = "empty"}), Contains("group 'empty'") && Contains("no parameters"));
  REQUIRE_THROWS_WITH(sgd.add_group({.name = "bad", .parameters = {"*"}, .learning_rate_scale = -1.0}),
                      Contains("group 'bad'") && Contains("learning_rate_scale"));
  REQUIRE_THROWS_WITH(sgd.add_group({.name = "bad", .parameters = {"*"}, .weight_decay = -1.0}),
                      Contains("weight_decay"));
  REQUIRE(sgd.rates("p").learning_rate == 0.01);
}

TEST_CASE("many tensors in one call have the bits of one call each, for every rule") {
  for (const NamedRule& rule : all_rules()) {
    const auto together = rule.make(), apart = rule.make();
    auto a = uniforms<float>(1, 100), b = uniforms<float>(2, 5000), c = a, d = b;
    const std::vector<std::int64_t> matrix{50, 100};
    for (std::uint64_t t = 0; t < 3; ++t) {
      auto g = uniforms<float>(10 + t, 100), h = uniforms<float>(20 + t, 5000);
      const Optimizer::TensorUpdate updates[] = {{"a", view(a), view(g)}, {"b", view(b), view(h), matrix}};
      together->apply(updates, 0.5);
      const Optimizer::TensorUpdate alone{"b", view(d), view(h), matrix};
      apart->apply(std::span(&alone, 1), 0.5);
      apart->apply("a", view(c), view(g), 0.5);
    }
    CAPTURE(rule.name);
    REQUIRE(a == c);
    REQUIRE(b == d);
  }
}

TEST_CASE("a refusal of one tensor leaves all of the call as they were") {
  AdamW optimizer({});
  auto a = uniforms<float>(1, 10), b = uniforms<float>(2, 10), g = uniforms<float>(3, 10);
  const auto before = a;
  const std::vector<std::int64_t> wrong{3, 4};
  const Optimizer::TensorUpdate updates[] = {{"a", view(a), view(g)}, {"b", view(b), view(g), wrong}};
  REQUIRE_THROWS_WITH(optimizer.apply(updates), Contains("'b'") && Contains("its shape 12 elements"));
  REQUIRE(a == before);
  REQUIRE(optimizer.states().empty());
}

TEST_CASE("a saved state that does not fit is refused, naming parameter and tensor") {
  AdamW optimizer({});
  auto p = uniforms<float>(1, 10), g = uniforms<float>(3, 10);
  optimizer.apply("w", view(p), view(g));
  const auto saved = optimizer.saved("w");
  const auto refused = [&](const auto& change, const std::string& part) {
    auto wrong = saved;
    change(wrong);
    REQUIRE_THROWS_WITH(optimizer.restore("w", wrong), Contains("parameter 'w'") && Contains(part));
  };
  refused([](auto& state) { state.tensors.pop_back(); }, "'exp_avg_sq' is missing");
  refused([](auto& state) { state.tensors[0].first = "momentum"; }, "'momentum' is not a state of this rule");
  refused([](auto& state) { --state.tensors[0].second.count; }, "'exp_avg' has 9 f32; it must have 10 f32");
  refused([](auto& state) { state.dtype = DType::bf16; }, "'master' is missing");
  refused([](auto& state) { state.dtype = DType::i32; }, "i32");
  refused([](auto& state) { state.shape.rows = 2; }, "20 elements");
  REQUIRE_THROWS_WITH(optimizer.saved("v"), Contains("no state of parameter 'v'"));
  REQUIRE(optimizer.states().at("w").steps == 1);
}
