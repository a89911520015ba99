// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/gpt.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/embedding/embedding.hpp"
#include "kernels/float_environment.hpp"
#include "kernels/layer_norm/layer_norm.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/token_cross_entropy/token_cross_entropy.hpp"
#include "models/gemm.hpp"
#include "models/gpt_site.hpp"
#include "models/gpt_workspace.hpp"
#include "models/gradient_views.hpp"
#include "models/initial.hpp"
#include "models/parameter_use.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::models {
namespace {

template <class T>
std::size_t padded_count(std::size_t count) {
  constexpr std::size_t unit = data::AlignedBuffer<T>::alignment / sizeof(T);
  return (count + unit - 1) / unit * unit;
}

}  // namespace

template <class T>
Gpt<T>::Gpt(const GptOptions& options) : options_(options), use_(std::make_unique<ParameterUse>()) {
  check(options);
  const std::vector<GptParameter> list = parameters_of(options);
  workspace_ = std::make_unique<Workspace>(options);
  if (options.memory_elsewhere) {
    for (const GptParameter& parameter : list) {
      const TensorView nowhere(nullptr, parameter.count, dtype_of<T>);
      parameters_.push_back({parameter.name, parameter.shape, nowhere, nowhere});
    }
    return;
  }
  std::size_t total = 0;
  for (const GptParameter& parameter : list) total += padded_count<T>(parameter.count);
  values_ = data::AlignedBuffer<T>(total);
  gradients_ = data::AlignedBuffer<T>(total);
  std::size_t offset = 0;
  for (const GptParameter& parameter : list) {
    const std::span<T> value = values_.span().subspan(offset, parameter.count);
    models::set_initial(value, parameter.initial, options.seed, parameters_.size());
    parameters_.push_back({parameter.name, parameter.shape, value, gradients_.span().subspan(offset, parameter.count)});
    offset += padded_count<T>(parameter.count);
  }
}

template <class T>
Gpt<T>::Gpt(Gpt&&) noexcept = default;
template <class T>
Gpt<T>& Gpt<T>::operator=(Gpt&&) noexcept = default;
template <class T>
Gpt<T>::~Gpt() = default;

template <class T>
void Gpt<T>::use_gradients(std::span<const Parameter> parameters) {
  if (adopt_gradients(parameters_, parameters)) gradients_ = {};
}

template <class T>
std::vector<std::vector<std::string>> Gpt<T>::units() const {
  std::vector<std::vector<std::string>> names(options_.layers + 1);
  for (std::size_t p = 0; p < parameters_.size(); ++p)
    names[GptIndex::unit_of(p, options_.layers)].push_back(parameters_[p].name);
  return names;
}

template <class T>
void Gpt<T>::use_access(ParameterAccess& access) {
  std::vector<std::size_t> unit_of;
  for (std::size_t p = 0; p < parameters_.size(); ++p) unit_of.push_back(GptIndex::unit_of(p, options_.layers));
  use_->borrow(access, unit_of);
  for (Parameter& parameter : parameters_) parameter.gradient.data = nullptr;
  gradients_ = {};
}

template <class T>
void Gpt<T>::set_initial(std::size_t parameter, std::size_t first, TensorView part) const {
  const GptParameter described = parameters_of(options_).at(parameter);
  if (part.dtype != dtype_of<T> || first > described.count || part.count > described.count - first) {
    fail(ErrorCode::invalid_argument, "'" + described.name + "' has " + std::to_string(described.count) +
                                          " elements of " + std::string(name_of(dtype_of<T>)) + ": there are no " +
                                          std::to_string(part.count) + " of " + std::string(name_of(part.dtype)) +
                                          " from " + std::to_string(first) + " on");
  }
  models::set_initial(part.as<T>(), described.initial, options_.seed, parameter, first);
}

template <class T>
double Gpt<T>::run(std::span<const std::uint16_t> tokens, std::size_t rows, const Listener& listener) {
  const kernels::FloatEnvironment environment;  // of all kernels below
  use_->check_memory(options_.memory_elsewhere);
  check_rows(options_, tokens, rows);
  if (rows == 0 && !use_->borrowed()) {  // else as all others, who communicate
    listener.forward_done();
    for (std::size_t p = parameters_.size(); p-- > 0;) {
      const std::span<T> gradient = parameters_[p].gradient.template as<T>();
      std::fill(gradient.begin(), gradient.end(), T{0});
      listener.ready(p);
    }
    return 0.0;
  }
  Workspace& space = *workspace_;
  space.take_rows(options_, tokens.data(), rows, GptPass::training);
  space.dropout = Dropout(options_.dropout, options_.seed, place_);
  space.forward(options_, parameters_, *use_, GptPass::training);
  auto outer = use_->hold(parameters_, GptIndex::outer_unit);
  const std::size_t positions = space.shape.positions();
  space.head(options_, parameters_, 0, positions);
  kernels::token_cross_entropy<T>({.logits = space.logits.data(),
                                   .targets = space.targets.data(),
                                   .rows = positions,
                                   .classes = options_.vocabulary,
                                   .losses = space.losses.data(),
                                   .gradient = space.logits.data()});
  const double loss = rows == 0 ? 0.0 : kernels::sum(space.losses.data(), positions) / static_cast<double>(positions);
  listener.forward_done();
  use_->open_gradients(parameters_, GptIndex::outer_unit);
  head_backward(listener);
  outer.release();
  backward(rows, listener);
  return loss;
}

template <class T>
void Gpt<T>::head_backward(const Listener& listener) {
  Workspace& space = *workspace_;
  const std::size_t layers = options_.layers;
  const std::size_t positions = space.shape.positions();
  const std::size_t width = options_.channels;
  const auto value = [&](std::size_t p) { return static_cast<const T*>(parameters_[p].value.data); };
  const auto gradient = [&](std::size_t p) { return static_cast<T*>(parameters_[p].gradient.data); };
  T* delta = space.delta.data();
  T* narrow = space.scratch.narrow.data();
  T* gain_terms = space.scratch.gain_terms.data();

  // The head's share of the tied embedding; its gradient is final when the inputs' share has been added.
  gemm(Form::transposed, Form::plain, options_.vocabulary, width, positions, space.logits.data(),
       space.normalised.data(), gradient(GptIndex::token_embedding));
  gemm(Form::plain, Form::plain, positions, width, options_.vocabulary, space.logits.data(),
       value(GptIndex::token_embedding), narrow);
  std::fill_n(delta, positions * width, T{0});
  const std::size_t gain = GptIndex::final_norm_weight(layers);
  kernels::layer_norm_backward<T>({.dx = delta,
                                   .gain_terms = gain_terms,
                                   .dy = narrow,
                                   .x = space.inputs[layers].data(),
                                   .gain = value(gain),
                                   .means = space.means.data(),
                                   .inverse_roots = space.inverse_roots.data(),
                                   .rows = positions,
                                   .columns = width});
  kernels::column_sum(gradient(gain + 1), narrow, positions, width);
  listener.ready(gain + 1);
  kernels::column_sum(gradient(gain), gain_terms, positions, width);
  listener.ready(gain);
}

template <class T>
void Gpt<T>::backward(std::size_t rows, const Listener& listener) {
  Workspace& space = *workspace_;
  const std::size_t layers = options_.layers;
  const std::size_t positions = space.shape.positions();
  const std::size_t width = options_.channels;
  const auto gradient = [&](std::size_t p) { return static_cast<T*>(parameters_[p].gradient.data); };
  T* delta = space.delta.data();
  const auto announce = [](const void* heard_by, std::size_t p) { static_cast<const Listener*>(heard_by)->ready(p); };
  for (std::size_t l = layers; l-- > 0;) {
    auto held = use_->hold(parameters_, GptIndex::block_unit(l));
    use_->open_gradients(parameters_, GptIndex::block_unit(l));
    const BlockCall<T> call = space.block(options_, parameters_, l, GptPass::training);
    const T* input = space.inputs[l].data();
    if (options_.recompute && l + 1 < layers)
      block_forward<T>(call, input, nullptr);  // the last block's are still there
    block_backward(call, input, delta, {&listener, announce, GptIndex::block(l)});
    held.release();
  }

  space.dropout.apply(delta, rows, options_.context * width, GptSite::embedding);
  kernels::column_sum(gradient(GptIndex::position_embedding), delta, rows, options_.context * width);
  listener.ready(GptIndex::position_embedding);
  kernels::embedding_backward(gradient(GptIndex::token_embedding), space.tokens.data(), delta, positions, width);
  listener.ready(GptIndex::token_embedding);
}

template <class T>
TokenEvaluation Gpt<T>::evaluate(std::span<const std::uint16_t> tokens, std::size_t rows, std::span<double> losses,
                                 std::size_t passes) {
  use_->check_memory(options_.memory_elsewhere);
  check_rows(options_, tokens, rows);
  const std::size_t context = options_.context;
  if (!losses.empty() && losses.size() != rows * context) {
    fail(ErrorCode::invalid_argument, "room for " + std::to_string(losses.size()) + " losses, but there are " +
                                          std::to_string(rows * context) + " targets");
  }
  const kernels::FloatEnvironment environment;
  Workspace& space = *workspace_;
  space.dropout = {};
  kernels::TreeSum loss_sum;
  const std::size_t own_passes = (rows + evaluation_rows - 1) / evaluation_rows;
  for (std::size_t pass = 0; pass < std::max(own_passes, passes); ++pass) {
    const std::size_t begin = std::min(rows, pass * evaluation_rows);
    const std::size_t count = std::min(evaluation_rows, rows - begin);
    space.take_rows(options_, tokens.data() + begin * (context + 1), count, GptPass::inference);
    space.forward(options_, parameters_, *use_, GptPass::inference);
    auto outer = use_->hold(parameters_, GptIndex::outer_unit);
    space.head(options_, parameters_, 0, count * context);
    outer.release();
    if (count == 0) continue;
    double* block_losses = losses.empty() ? space.losses.data() : losses.data() + begin * context;
    kernels::token_cross_entropy<T>({.logits = space.logits.data(),
                                     .targets = space.targets.data(),
                                     .rows = count * context,
                                     .classes = options_.vocabulary,
                                     .losses = block_losses});
    loss_sum.add(kernels::sum(block_losses, count * context));
  }
  return {.tokens = rows * context, .loss_sum = loss_sum.result()};
}

template class Gpt<float>;
template class Gpt<double>;

}  // namespace trireme::models
