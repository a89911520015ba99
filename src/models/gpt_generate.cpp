// SPDX-License-Identifier: Apache-2.0
#include "kernels/float_environment.hpp"
#include "kernels/scalar/scalar.hpp"
#include "models/gpt_workspace.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "trireme/models/gpt.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace trireme::models {
namespace {

/// A token of softmax(logits/temperature): the first whose running sum exceeds `u` of the whole.
template <class T>
std::uint16_t draw(std::span<const T> logits, double temperature, double u) {
  const auto greatest = std::max_element(logits.begin(), logits.end());
  if (temperature == 0.0) return static_cast<std::uint16_t>(greatest - logits.begin());
  const auto mass = [&](T z) {
    return kernels::exponential((static_cast<double>(z) - static_cast<double>(*greatest)) / temperature);
  };
  double total = 0.0;
  for (T z : logits) total += mass(z);
  double sum = 0.0;
  for (std::size_t j = 0; j < logits.size(); ++j) {
    sum += mass(logits[j]);
    if (sum > u * total) return static_cast<std::uint16_t>(j);
  }
  return static_cast<std::uint16_t>(greatest - logits.begin());  // not a number among the logits
}

}  // namespace

template <class T>
std::span<const T> Gpt<T>::logits(std::span<const std::uint16_t> tokens) {
  use_->check_memory(options_.memory_elsewhere);
  if (tokens.empty() || tokens.size() > options_.context) {
    fail(ErrorCode::invalid_argument, "a sequence of " + std::to_string(tokens.size()) +
                                          " tokens does not fit a context of " + std::to_string(options_.context));
  }
  check_tokens(tokens, options_.vocabulary);
  const kernels::FloatEnvironment environment;
  workspace_->take_sequence(options_, tokens);
  workspace_->dropout = {};
  workspace_->forward(options_, parameters_, *use_, GptPass::inference);
  auto outer = use_->hold(parameters_, GptIndex::outer_unit);
  workspace_->head(options_, parameters_, 0, tokens.size());
  outer.release();
  return workspace_->logits.span().first(tokens.size() * options_.vocabulary);
}

template <class T>
std::vector<std::uint16_t> Gpt<T>::generate(std::span<const std::uint16_t> prompt, std::size_t count,
                                            double temperature, std::uint64_t seed) {
  use_->check_memory(options_.memory_elsewhere);
  if (prompt.empty()) fail(ErrorCode::invalid_argument, "a prompt needs at least one token");
  if (!(temperature >= 0.0 && std::isfinite(temperature))) {
    fail(ErrorCode::invalid_argument, "a temperature is 0 or more, not " + std::to_string(temperature));
  }
  check_tokens(prompt, options_.vocabulary);
  const kernels::FloatEnvironment environment;
  std::vector<std::uint16_t> text(prompt.begin(), prompt.end());
  text.reserve(prompt.size() + count);
  workspace_->dropout = {};
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t length = std::min(text.size(), options_.context);
    workspace_->take_sequence(options_, std::span(text).last(length));
    workspace_->forward(options_, parameters_, *use_, GptPass::inference);
    auto outer = use_->hold(parameters_, GptIndex::outer_unit);
    workspace_->head(options_, parameters_, length - 1, 1);
    outer.release();
    const double u = data::unit_interval(data::philox_at(seed, 2 * i));
    text.push_back(draw<T>(workspace_->logits.span().first(options_.vocabulary), temperature, u));
  }
  text.erase(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(prompt.size()));
  return text;
}

template std::span<const float> Gpt<float>::logits(std::span<const std::uint16_t>);
template std::span<const double> Gpt<double>::logits(std::span<const std::uint16_t>);
template std::vector<std::uint16_t> Gpt<float>::generate(std::span<const std::uint16_t>, std::size_t, double,
                                                         std::uint64_t);
template std::vector<std::uint16_t> Gpt<double>::generate(std::span<const std::uint16_t>, std::size_t, double,
                                                          std::uint64_t);

}  // namespace trireme::models
