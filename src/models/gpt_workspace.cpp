// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_workspace.hpp"

#include "kernels/embedding/embedding.hpp"
#include "kernels/layer_norm/layer_norm.hpp"
#include "models/gemm.hpp"
#include "models/gpt_site.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::models {

void check_tokens(std::span<const std::uint16_t> tokens, std::size_t vocabulary) {
  const auto bad = std::find_if(tokens.begin(), tokens.end(), [&](std::uint16_t token) { return token >= vocabulary; });
  if (bad != tokens.end()) {
    fail(ErrorCode::invalid_argument, "token " + std::to_string(*bad) + " at " + std::to_string(bad - tokens.begin()) +
                                          " is not below the vocabulary of " + std::to_string(vocabulary));
  }
}

void check_rows(const GptOptions& options, std::span<const std::uint16_t> tokens, std::size_t rows) {
  constexpr std::size_t max_positions = std::size_t{1} << 30;  // far above what memory holds
  if (rows > max_positions / (options.context + 1) || tokens.size() != rows * (options.context + 1)) {
    fail(ErrorCode::invalid_argument, std::to_string(tokens.size()) + " tokens are not " + std::to_string(rows) +
                                          " rows of " + std::to_string(options.context + 1));
  }
  check_tokens(tokens, options.vocabulary);
}

template <class T>
Gpt<T>::Workspace::Workspace(const GptOptions& options)
    : inputs(options.layers + 1), kept(options.recompute ? 1 : options.layers) {}

template <class T>
void Gpt<T>::Workspace::make_room(const GptOptions& options, const GptShape& wanted, GptPass pass) {
  shape = wanted;
  const bool backward = pass == GptPass::training;
  const std::size_t positions = shape.positions();
  const std::size_t count = positions * shape.channels;
  for (auto& input : inputs) input.ensure(count);
  for (auto& activations : std::span(kept).first(backward ? kept.size() : 1)) activations.make_room(shape);
  scratch.make_room(shape, backward, options.dropout > 0.0);
  normalised.ensure(count);
  means.ensure(positions);
  inverse_roots.ensure(positions);
  logits.ensure(positions * options.vocabulary);
  losses.ensure(positions);
  tokens.ensure(positions);
  targets.ensure(positions);
  if (backward) delta.ensure(count);
}

template <class T>
void Gpt<T>::Workspace::take_rows(const GptOptions& options, const std::uint16_t* rows, std::size_t count,
                                  GptPass pass) {
  const std::size_t context = options.context;
  make_room(options, {count, context, options.heads, options.channels}, pass);
  for (std::size_t r = 0; r < count; ++r, rows += context + 1) {
    std::copy_n(rows, context, tokens.data() + r * context);
    std::copy_n(rows + 1, context, targets.data() + r * context);
  }
}

template <class T>
void Gpt<T>::Workspace::take_sequence(const GptOptions& options, std::span<const std::uint16_t> sequence) {
  make_room(options, {1, sequence.size(), options.heads, options.channels}, GptPass::inference);
  std::copy(sequence.begin(), sequence.end(), tokens.data());
}

template <class T>
void Gpt<T>::Workspace::forward(const GptOptions& options, std::vector<Parameter>& parameters, const ParameterUse& use,
                                GptPass pass) {
  auto embeddings = use.hold(parameters, GptIndex::outer_unit);
  const auto value = [&](std::size_t p) { return static_cast<const T*>(parameters[p].value.data); };
  kernels::embedding(inputs[0].data(), tokens.data(), value(GptIndex::token_embedding),
                     value(GptIndex::position_embedding), shape.positions(), shape.length, shape.channels);
  embeddings.release();
  dropout.apply(inputs[0].data(), shape.rows, shape.length * shape.channels, GptSite::embedding);
  for (std::size_t l = 0; l < options.layers; ++l) {
    auto held = use.hold(parameters, GptIndex::block_unit(l));
    block_forward(block(options, parameters, l, pass), inputs[l].data(), inputs[l + 1].data());
    held.release();
  }
}

template <class T>
void Gpt<T>::Workspace::head(const GptOptions& options, const std::vector<Parameter>& parameters, std::size_t first,
                             std::size_t count) noexcept {
  const auto value = [&](std::size_t p) { return static_cast<const T*>(parameters[p].value.data); };
  const std::size_t layers = options.layers;
  kernels::layer_norm<T>({.y = normalised.data(),
                          .x = inputs[layers].data(),
                          .gain = value(GptIndex::final_norm_weight(layers)),
                          .bias = value(GptIndex::final_norm_bias(layers)),
                          .means = means.data(),
                          .inverse_roots = inverse_roots.data(),
                          .rows = shape.positions(),
                          .columns = shape.channels});
  gemm(Form::plain, Form::transposed, count, options.vocabulary, shape.channels,
       normalised.data() + first * shape.channels, value(GptIndex::token_embedding), logits.data());
}

template struct Gpt<float>::Workspace;
template struct Gpt<double>::Workspace;

}  // namespace trireme::models
