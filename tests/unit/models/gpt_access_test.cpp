// SPDX-License-Identifier: Apache-2.0
// A Gpt whose parameters come and go, unit by unit.
#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/models/gpt.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace trireme::models {
namespace {

/// Lends values in memory of its own while a unit is held, other memory each time; what was given back is NaN.
template <class T>
class LendingLibrary final : public ParameterAccess {
 public:
  explicit LendingLibrary(const Gpt<T>& model) : units_(model.units()) {
    for (const Parameter& parameter : model.parameters()) {
      values_.emplace_back(parameter.value.count);
      model.set_initial(values_.size() - 1, 0, std::span<T>(values_.back()));
      for (std::size_t u = 0; u < units_.size(); ++u)
        if (std::count(units_[u].begin(), units_[u].end(), parameter.name) != 0) unit_of_.push_back(u);
    }
    holds_.resize(units_.size());
    lent_.resize(values_.size());
    gradients_.resize(values_.size());
  }
  std::size_t units() const override { return units_.size(); }
  std::size_t unit_of(std::size_t parameter) const override { return unit_of_[parameter]; }
  void acquire(std::size_t unit) override {
    calls += std::to_string(unit) + " ";
    if (holds_[unit]++ != 0) return;
    most_held = std::max(most_held, ++held_);
    for (std::size_t p = 0; p < values_.size(); ++p)
      if (unit_of_[p] == unit) lent_[p] = std::make_unique<data::AlignedBuffer<T>>(values_[p].size());
    for (std::size_t p = 0; p < values_.size(); ++p)
      if (unit_of_[p] == unit) std::copy(values_[p].begin(), values_[p].end(), lent_[p]->data());
  }
  void release(std::size_t unit) override {
    if (--holds_[unit] != 0) return;
    --held_;
    for (std::size_t p = 0; p < values_.size(); ++p) {
      if (unit_of_[p] != unit) continue;
      std::fill_n(lent_[p]->data(), lent_[p]->size(), std::numeric_limits<T>::quiet_NaN());
      returned_.push_back(std::move(lent_[p]));
    }
  }
  TensorView value(std::size_t parameter) override { return lent_[parameter]->span(); }
  TensorView gradient(std::size_t parameter) override {
    gradients_[parameter] = std::make_unique<data::AlignedBuffer<T>>(values_[parameter].size());
    return gradients_[parameter]->span();
  }
  std::vector<T> gradient_of(std::size_t p) const {
    return {gradients_[p]->data(), gradients_[p]->data() + gradients_[p]->size()};
  }
  bool all_returned() const { return held_ == 0; }

  std::string calls;
  int most_held = 0;

 private:
  std::vector<std::vector<std::string>> units_;
  std::vector<std::size_t> unit_of_;
  std::vector<std::vector<T>> values_;
  std::vector<int> holds_;
  std::vector<std::unique_ptr<data::AlignedBuffer<T>>> lent_, gradients_, returned_;
  int held_ = 0;
};

std::vector<std::uint16_t> some_tokens(std::size_t count, std::size_t vocabulary) {
  std::vector<std::uint16_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<std::uint16_t>((i * i + 3 * i) % vocabulary);
  return tokens;
}

GptOptions small(bool elsewhere) {
  return {
      .vocabulary = 19, .context = 6, .layers = 3, .heads = 2, .channels = 8, .seed = 4, .memory_elsewhere = elsewhere};
}

}  // namespace

TEST_CASE("A Gpt of memory elsewhere says so where it is used before somebody lends it memory") {
  Gpt<float> model(small(true));
  const auto tokens = some_tokens(7, 19);
  const std::vector<std::uint16_t> prompt = {1, 2};
  const auto refused = [&](auto&& call) {
    const Error error = testing::error_of(call);
    return error.code == ErrorCode::invalid_argument && testing::has(error.message, "use_access()");
  };
  CHECK(refused([&] { model.forward_backward(tokens, 1); }));
  CHECK(refused([&] { model.evaluate(tokens, 1); }));
  CHECK(refused([&] { model.logits(prompt); }));
  CHECK(refused([&] { model.generate(prompt, 1, 0.0, 1); }));
}

TEST_CASE("A Gpt whose parameters come and go computes the bits of one that has them, and holds one unit at a time") {
  for (const bool recompute : {false, true}) {
    for (const double dropout : {0.0, 0.3}) {
      CAPTURE(recompute, dropout);
      GptOptions options = small(false);
      options.recompute = recompute;
      options.dropout = dropout;
      Gpt<float> whole(options);
      options.memory_elsewhere = true;
      Gpt<float> model(options);
      LendingLibrary<float> library(model);
      model.use_access(library);
      const auto tokens = some_tokens(3 * 7, 19);
      for (int step = 0; step < 2; ++step) {
        const double wanted = whole.forward_backward(tokens, 3);
        REQUIRE(model.forward_backward(tokens, 3) == wanted);
        for (std::size_t p = 0; p < whole.parameters().size(); ++p) {
          const auto gradient = whole.parameters()[p].gradient.as<float>();
          CAPTURE(whole.parameters()[p].name);
          REQUIRE(library.gradient_of(p) == std::vector<float>(gradient.begin(), gradient.end()));
        }
        REQUIRE(library.all_returned());
      }
      REQUIRE(library.most_held == 1);
      library.calls.clear();
      const TokenEvaluation wanted = whole.evaluate(tokens, 3), found = model.evaluate(tokens, 3);
      REQUIRE(found.loss_sum == wanted.loss_sum);
      REQUIRE(library.calls == "0 1 2 3 0 ");
      const std::vector<std::uint16_t> prompt = {1, 2, 3};
      REQUIRE(model.generate(prompt, 5, 0.8, 3) == whole.generate(prompt, 5, 0.8, 3));
      const auto logits = whole.logits(prompt), again = model.logits(prompt);
      REQUIRE(std::equal(logits.begin(), logits.end(), again.begin(), again.end()));
      REQUIRE(library.all_returned());
    }
  }
}

TEST_CASE("Passes without rows take part like any other: the same units in the same order, gradients of zeros") {
  Gpt<double> model(small(true));
  LendingLibrary<double> library(model);
  model.use_access(library);
  std::size_t announced = 0;
  REQUIRE(model.forward_backward({}, 0, [&](std::size_t) { ++announced; }) == 0.0);
  REQUIRE(announced == model.parameters().size());
  REQUIRE(library.calls == "0 1 2 3 0 3 2 1 ");
  for (std::size_t p = 0; p < model.parameters().size(); ++p) {
    const auto gradient = library.gradient_of(p);
    REQUIRE(std::all_of(gradient.begin(), gradient.end(), [](double each) { return each == 0.0; }));
  }
  library.calls.clear();
  REQUIRE(model.evaluate(some_tokens(7, 19), 1, {}, 2).tokens == 6);
  REQUIRE(library.calls == "0 1 2 3 0 0 1 2 3 0 ");
}

TEST_CASE("Any part of the initial values can be had alone, and parts that there are not are refused") {
  Gpt<float> whole(small(false));
  Gpt<float> model(small(true));
  for (std::size_t p = 0; p < whole.parameters().size(); ++p) {
    const auto wanted = whole.parameters()[p].value.as<float>();
    REQUIRE(model.parameters()[p].value.data == nullptr);
    REQUIRE(model.parameters()[p].value.count == wanted.size());
    for (const std::size_t first : {std::size_t{0}, std::size_t{1}, std::size_t{5}, wanted.size()}) {
      for (const std::size_t count :
           {std::size_t{0}, std::size_t{1}, std::size_t{2}, wanted.size() - std::min(first, wanted.size())}) {
        if (first > wanted.size() || count > wanted.size() - first) continue;
        std::vector<float> part(count, -9.0f);
        model.set_initial(p, first, std::span<float>(part));
        CAPTURE(p, first, count);
        REQUIRE(std::equal(part.begin(), part.end(), wanted.begin() + static_cast<std::ptrdiff_t>(first)));
      }
    }
  }
  std::vector<float> part(4);
  REQUIRE_THROWS_WITH(
      model.set_initial(0, 19 * 8 - 3, std::span<float>(part)),
      Catch::Contains("'token_embedding.weight' has 152 elements of f32") && Catch::Contains("no 4 of f32 from 149"));
}

TEST_CASE("Parameters in other units than the model's are refused") {
  Gpt<float> model(small(true));
  GptOptions deeper = small(true);
  deeper.layers = 4;
  Gpt<float> other(deeper);
  LendingLibrary<float> library(other);
  REQUIRE_THROWS_WITH(model.use_access(library), Catch::Contains("other units than the model's"));
}

}  // namespace trireme::models
