// SPDX-License-Identifier: Apache-2.0
#include "models/mesh_stage.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/norm/norm.hpp"
#include "kernels/residual/residual.hpp"
#include "kernels/token_cross_entropy/token_cross_entropy.hpp"
#include "models/gpt_site.hpp"
#include "trireme/tensor_parallel/conjugate.hpp"

#include <algorithm>

namespace trireme::models {

template <class T>
MeshStage<T>::MeshStage(tensor_parallel::Axis& axis, const MeshGptOptions& options, const Part& part,
                        MeshParameters<T>& parameters, MeshScratch<T>& scratch, const MeshStep& step,
                        std::vector<double>& losses)
    : axis_(axis),
      options_(options),
      part_(part),
      parameters_(parameters),
      scratch_(scratch),
      step_(step),
      losses_(losses),
      embedding_(axis, "token_embedding", options.gpt.vocabulary, options.gpt.channels),
      final_norm_(axis, "final_norm", options.gpt.channels, options.sequence_parallel),
      head_(axis, "head", {.inputs = options.gpt.channels, .outputs = options.gpt.vocabulary}),
      cross_entropy_(axis, "loss", options.gpt.vocabulary) {
  for (std::size_t l = part.layers.begin; l < part.layers.end; ++l)
    layers_.emplace_back(axis, options.gpt, l, options.sequence_parallel, parameters, scratch);
}

template <class T>
void MeshStage<T>::prepare(int slots, bool splits_backward) {
  slots_.resize(static_cast<std::size_t>(slots));
  for (Slot& slot : slots_) {
    slot.inputs.resize(blocks() + 1);
    if (!options_.gpt.recompute) slot.kept.resize(blocks());
    if (splits_backward) slot.derivatives.resize(blocks());
  }
}

template <class T>
MeshPass MeshStage<T>::pass_of(int micro_batch) const {
  const GptOptions& gpt = options_.gpt;
  const layout::Interval rows = step_.rows_of(micro_batch);
  MeshPass pass{.axis = &axis_,
                .shape = {rows.size(), gpt.context, gpt.heads, gpt.channels},
                .by_positions = options_.sequence_parallel,
                .dropout = {}};
  if (!step_.evaluating)
    pass.dropout = Dropout(gpt.dropout, gpt.seed, {step_.place.step, step_.place.first_row + rows.begin});
  pass.own = pass.by_positions ? axis_.share(pass.spread().split()).size() : pass.positions();
  return pass;
}

template <class T>
const T* MeshStage<T>::input_of(const Slot& slot, std::size_t block, ConstTensorView input) const {
  return block == 0 && !part_.first ? static_cast<const T*>(input.data) : slot.inputs[block].data();
}

template <class T>
void MeshStage<T>::take_tokens(const MeshPass& pass, int micro_batch, Slot& slot) const {
  const std::size_t context = options_.gpt.context, rows = pass.shape.rows;
  const std::uint16_t* from = step_.tokens.data() + step_.rows_of(micro_batch).begin * (context + 1);
  slot.tokens.resize(rows * context);
  slot.targets.resize(rows * context);
  slot.next.resize(rows * context);
  for (std::size_t r = 0; r < rows; ++r, from += context + 1) {
    std::copy_n(from, context, slot.tokens.data() + r * context);
    std::copy_n(from + 1, context, slot.targets.data() + r * context);
    std::copy_n(from + 1, context, slot.next.data() + r * context);
  }
}

template <class T>
void MeshStage<T>::add_positions(const MeshPass& pass, T* x) const {
  const std::size_t length = pass.shape.length, width = pass.shape.channels;
  const T* const table = parameters_.value(GptIndex::position_embedding);
  const layout::Interval own =
      pass.by_positions ? axis_.share(pass.spread().split()) : layout::Interval{0, pass.positions()};
  for (std::size_t position = own.begin; position < own.end;) {
    const std::size_t in_row = position % length, count = std::min(length - in_row, own.end - position);
    kernels::add(x, x, table + in_row * width, count * width);
    x += count * width;
    position += count;
  }
}

template <class T>
void MeshStage<T>::embed(const MeshPass& pass, Slot& slot) {
  T* const x = slot.inputs[0].data();
  const T* const table = parameters_.value(GptIndex::token_embedding);
  if (pass.by_positions) {
    embedding_.forward_to_positions(slot.tokens, table, x);
  } else {
    embedding_.forward(slot.tokens, table, x);
  }
  add_positions(pass, x);
  lay_mask(pass, GptSite::embedding, x);
}

template <class T>
void MeshStage<T>::forward(pipeline::MicroBatch micro_batch, ConstTensorView input, TensorView output) {
  const MeshPass pass = pass_of(micro_batch.index);
  if (pass.positions() == 0) return;
  Slot& slot = slots_[static_cast<std::size_t>(micro_batch.slot)];
  for (std::size_t b = part_.first ? 0 : 1; b < slot.inputs.size() - (part_.last ? 0 : 1); ++b)
    slot.inputs[b].ensure(pass.own * pass.shape.channels);
  if (part_.first || part_.last) take_tokens(pass, micro_batch.index, slot);
  if (part_.first) embed(pass, slot);
  for (std::size_t b = 0; b < blocks(); ++b) {
    T* const out = b + 1 < blocks() || part_.last ? slot.inputs[b + 1].data() : static_cast<T*>(output.data);
    layers_[b].forward(pass, input_of(slot, b, input), kept_of(slot, b), out);
  }
  if (part_.last) head(pass, micro_batch.index, slot);
}

template <class T>
void MeshStage<T>::head(const MeshPass& pass, int micro_batch, Slot& slot) {
  const std::size_t layers = options_.gpt.layers, positions = pass.positions(), width = pass.shape.channels;
  slot.normalised.ensure(positions * width);
  slot.statistics.make_room(pass.own);
  slot.logits.ensure(positions * head_.local_outputs());
  slot.losses.ensure(positions);
  const T* const x = slot.inputs[blocks()].data();
  const T* const gain = parameters_.value(GptIndex::final_norm_weight(layers));
  const T* const bias = parameters_.value(GptIndex::final_norm_bias(layers));
  const T* const table = parameters_.value(GptIndex::token_embedding);
  if (pass.by_positions) {
    T* const share = scratch_.share.data();
    final_norm_.forward(x, pass.own, gain, bias, share, slot.statistics);
    head_.forward_from_positions(share, positions, table, nullptr, slot.normalised.data(), slot.logits.data());
  } else {
    final_norm_.forward(x, pass.own, gain, bias, slot.normalised.data(), slot.statistics);
    head_.forward(slot.normalised.data(), positions, table, nullptr, slot.logits.data());
  }
  measure(pass, slot);
  losses_[static_cast<std::size_t>(micro_batch)] =
      kernels::sum(slot.losses.data(), positions) / static_cast<double>(positions);
}

template <class T>
void MeshStage<T>::measure(const MeshPass& pass, Slot& slot) {
  if (axis_.size() > 1) {
    cross_entropy_(slot.logits.data(), slot.targets, slot.losses.span().first(pass.positions()), !step_.evaluating);
    return;
  }
  kernels::token_cross_entropy<T>({.logits = slot.logits.data(),  // the dense model's bits
                                   .targets = slot.next.data(),
                                   .rows = pass.positions(),
                                   .classes = options_.gpt.vocabulary,
                                   .losses = slot.losses.data(),
                                   .gradient = step_.evaluating ? nullptr : slot.logits.data()});
}

template <class T>
void MeshStage<T>::head_weight(const MeshPass& pass, Slot& slot, const MicroTerm& term) {
  parameters_.add_embedding(MeshParameters<T>::End::head, term, [&](T* table) {
    head_.backward_weight(slot.normalised.data(), slot.logits.data(), pass.positions(), table, nullptr);
  });
}

template <class T>
void MeshStage<T>::head_backward(const MeshPass& pass, Slot& slot, T* delta, const MicroTerm* term) {
  const std::size_t gain = GptIndex::final_norm_weight(options_.gpt.layers), width = pass.shape.channels;
  const T* const table = parameters_.value(GptIndex::token_embedding);
  scratch_.narrow.ensure(pass.positions() * width);
  scratch_.gain_terms.ensure(pass.own * width);
  slot.sums.ensure(2 * width);
  T* const narrow = scratch_.narrow.data();
  if (pass.by_positions) {
    head_.backward_input_to_positions(slot.logits.data(), pass.positions(), table, narrow);
    if (term != nullptr) head_weight(pass, slot, *term);
  } else {
    Work summed = head_.backward_input_async(slot.logits.data(), pass.positions(), table, narrow);
    if (term != nullptr) head_weight(pass, slot, *term);
    summed.wait();
  }
  std::fill_n(delta, pass.own * width, T{0});
  final_norm_.backward({.x = slot.inputs[blocks()].data(),
                        .dy = narrow,
                        .gain = parameters_.value(gain),
                        .statistics = &slot.statistics,
                        .rows = pass.own,
                        .delta = delta,
                        .sums = slot.sums.data(),
                        .gain_terms = scratch_.gain_terms.data()});
  if (term != nullptr) parameters_.add_norm(gain, *term, slot.sums.data());
}

template <class T>
void MeshStage<T>::embed_backward(const MeshPass& pass, Slot& slot, T* delta) {
  lay_mask(pass, GptSite::embedding, delta);
  const std::size_t count = pass.positions() * pass.shape.channels;
  slot.embedded.ensure(count);
  if (pass.by_positions) {
    tensor_parallel::partial_to_sharded_backward(axis_, pass.spread().split(),
                                                 std::span<const T>(delta, pass.own * pass.shape.channels),
                                                 slot.embedded.span().first(count), "token_embedding");
  } else {
    std::copy_n(delta, count, slot.embedded.data());
  }
}

template <class T>
void MeshStage<T>::embed_weight(const MeshPass& pass, Slot& slot, const MicroTerm& term) {
  const T* const delta = slot.embedded.data();
  parameters_.add(GptIndex::position_embedding, term, [&](T* table) {
    kernels::column_sum(table, delta, pass.shape.rows, pass.shape.length * pass.shape.channels);
  });
  parameters_.add_embedding(MeshParameters<T>::End::inputs, term, [&](T* table) {
    std::fill_n(table, parameters_.count(GptIndex::token_embedding), T{0});
    embedding_.backward(slot.tokens, delta, table);
  });
}

template <class T>
void MeshStage<T>::go_back(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                           TensorView input_gradient, const MicroTerm* term) {
  const MeshPass pass = pass_of(micro_batch.index);
  if (pass.positions() == 0) return;
  Slot& slot = slots_[static_cast<std::size_t>(micro_batch.slot)];
  const std::size_t count = pass.own * pass.shape.channels;
  if (part_.first) delta_.ensure(count);
  T* const delta = part_.first ? delta_.data() : static_cast<T*>(input_gradient.data);
  if (part_.last) {
    head_backward(pass, slot, delta, term);
  } else {
    std::copy_n(static_cast<const T*>(output_gradient.data), count, delta);
  }
  for (std::size_t b = blocks(); b-- > 0;) {
    const T* const x = input_of(slot, b, input);
    MeshActivations<T>& kept = kept_of(slot, b);
    if (options_.gpt.recompute) layers_[b].forward(pass, x, kept, nullptr, false);
    MeshDerivatives<T>& derivatives = term == nullptr ? slot.derivatives[b] : scratch_.derivatives;
    layers_[b].backward_input(pass, x, kept, derivatives, delta, term);
  }
  if (part_.first) embed_backward(pass, slot, delta);
  if (part_.first && term != nullptr) embed_weight(pass, slot, *term);
}

template <class T>
void MeshStage<T>::backward(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView output_gradient,
                            TensorView input_gradient) {
  const MicroTerm term = step_.term_of(micro_batch.index);
  go_back(micro_batch, input, output_gradient, input_gradient, &term);
}

template <class T>
void MeshStage<T>::backward_input(pipeline::MicroBatch micro_batch, ConstTensorView input,
                                  ConstTensorView output_gradient, TensorView input_gradient) {
  go_back(micro_batch, input, output_gradient, input_gradient, nullptr);
}

template <class T>
void MeshStage<T>::backward_weight(pipeline::MicroBatch micro_batch, ConstTensorView input, ConstTensorView) {
  const MeshPass pass = pass_of(micro_batch.index);
  if (pass.positions() == 0) return;
  const MicroTerm term = step_.term_of(micro_batch.index);
  Slot& slot = slots_[static_cast<std::size_t>(micro_batch.slot)];
  if (part_.last) {
    head_weight(pass, slot, term);
    parameters_.add_norm(GptIndex::final_norm_weight(options_.gpt.layers), term, slot.sums.data());
  }
  for (std::size_t b = blocks(); b-- > 0;) {
    MeshActivations<T>& kept = kept_of(slot, b);
    if (options_.gpt.recompute) layers_[b].forward(pass, input_of(slot, b, input), kept, nullptr, false);
    layers_[b].backward_weight(pass, kept, slot.derivatives[b], term);
  }
  if (part_.first) embed_weight(pass, slot, term);
}

template class MeshStage<float>;
template class MeshStage<double>;

}  // namespace trireme::models
