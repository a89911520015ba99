// SPDX-License-Identifier: Apache-2.0
#include "models/mesh_block.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/gelu/gelu.hpp"
#include "kernels/residual/residual.hpp"
#include "models/gpt_attention.hpp"
#include "models/gpt_site.hpp"

#include <algorithm>

namespace trireme::models {
namespace {

std::string layer_name(std::size_t layer, const char* what) { return "block" + std::to_string(layer) + "." + what; }

}  // namespace

using enum BlockParameter;

template <class T>
MeshBlock<T>::MeshBlock(tensor_parallel::Axis& axis, const GptOptions& options, std::size_t layer, bool by_positions,
                        MeshParameters<T>& parameters, MeshScratch<T>& scratch)
    : parameters_(parameters),
      scratch_(scratch),
      layer_(layer),
      first_(GptIndex::block(layer)),
      qkv_(axis, layer_name(layer, "attention.qkv"),
           {.inputs = options.channels,
            .outputs = 3 * options.channels,
            .segments = 3,
            .unit = options.channels / options.heads}),
      expand_(axis, layer_name(layer, "mlp.expand"), {.inputs = options.channels, .outputs = 4 * options.channels}),
      projection_(axis, layer_name(layer, "attention.projection"),
                  {.inputs = options.channels, .outputs = options.channels, .unit = options.channels / options.heads}),
      contract_(axis, layer_name(layer, "mlp.contract"), {.inputs = 4 * options.channels, .outputs = options.channels}),
      norm1_(axis, layer_name(layer, "norm1"), options.channels, by_positions),
      norm2_(axis, layer_name(layer, "norm2"), options.channels, by_positions) {
  const layout::Interval heads = axis.share({1, options.heads, 1});
  first_head_ = heads.begin;
  own_heads_ = {.heads = heads.size(), .channels = heads.size() * (options.channels / options.heads)};
}

template <class T>
void MeshBlock<T>::make_room(const MeshPass& pass, MeshActivations<T>& kept) {
  const std::size_t positions = pass.positions(), width = pass.shape.channels;
  kept.normalised1.ensure(positions * width);
  kept.normalised2.ensure(positions * width);
  kept.statistics1.make_room(pass.own);
  kept.statistics2.make_room(pass.own);
  kept.qkv.ensure(positions * qkv_.local_outputs());
  kept.weights.ensure(positions * own_heads_.heads * pass.shape.length);
  kept.attended.ensure(positions * own_heads_.channels);
  kept.middle.ensure(pass.own * width);
  kept.expanded.ensure(positions * expand_.local_outputs());
  kept.activated.ensure(positions * expand_.local_outputs());
  scratch_.attention.ensure(attention_scratch(pass.shape));
  scratch_.share.ensure(pass.own * width);
}

template <class T>
void MeshBlock<T>::make_room(const MeshPass& pass, MeshDerivatives<T>& derivatives) {
  const std::size_t positions = pass.positions(), width = pass.shape.channels;
  derivatives.contract.ensure(positions * width);
  derivatives.expand.ensure(positions * expand_.local_outputs());
  derivatives.projection.ensure(positions * width);
  derivatives.qkv.ensure(positions * qkv_.local_outputs());
  derivatives.norm1.ensure(2 * width);
  derivatives.norm2.ensure(2 * width);
  scratch_.narrow.ensure(positions * width);
  scratch_.attended.ensure(positions * own_heads_.channels);
  scratch_.gain_terms.ensure(pass.own * width);
}

template <class T>
void MeshBlock<T>::norm_forward(const MeshPass& pass, MeshNorm<T>& norm, BlockParameter gain, const T* x,
                                NormStatistics<T>& statistics, T* normalised) {
  const auto bias = static_cast<BlockParameter>(static_cast<std::size_t>(gain) + 1);
  norm.forward(x, pass.own, value(gain), value(bias), normalised, statistics);
}

template <class T>
void MeshBlock<T>::attend(const MeshPass& pass, MeshActivations<T>& kept) {
  if (own_heads_.heads == 0) return;
  attention<T>({.shape = {pass.shape.rows, pass.shape.length, own_heads_.heads, own_heads_.channels},
                .qkv = kept.qkv.data(),
                .weights = kept.weights.data(),
                .attended = kept.attended.data(),
                .scratch = scratch_.attention.data(),
                .dropout = &pass.dropout,
                .site = GptSite::attention(layer_),
                .first_head = first_head_});
}

template <class T>
void MeshBlock<T>::attend_backward(const MeshPass& pass, const MeshActivations<T>& kept, T* dqkv, const T* dattended) {
  if (own_heads_.heads == 0) return;
  attention_backward<T>({.shape = {pass.shape.rows, pass.shape.length, own_heads_.heads, own_heads_.channels},
                         .qkv = kept.qkv.data(),
                         .weights = kept.weights.data(),
                         .attended = kept.attended.data(),
                         .scratch = scratch_.attention.data(),
                         .dropout = &pass.dropout,
                         .site = GptSite::attention(layer_),
                         .first_head = first_head_},
                        dqkv, dattended);
}

template <class T>
void MeshBlock<T>::join(const MeshPass& pass, Row& layer, const T* x, BlockParameter weight, const T* passed,
                        std::uint32_t site, T* sum) {
  const std::size_t width = pass.shape.channels;
  const T* const bias = value(static_cast<BlockParameter>(static_cast<std::size_t>(weight) + 1));
  if (pass.by_positions) {
    layer.forward_to_positions(x, pass.positions(), value(weight), nullptr, sum);
  } else {
    layer.forward(x, pass.positions(), value(weight), nullptr, sum);
  }
  if (!pass.dropout.on()) {
    kernels::add_bias_residual(sum, sum, bias, passed, pass.own, width);
    return;
  }
  kernels::add_bias(sum, bias, pass.own, width);
  lay_mask(pass, site, sum);
  kernels::add(sum, sum, passed, pass.own * width);
}

template <class T>
void MeshBlock<T>::forward(const MeshPass& pass, const T* input, MeshActivations<T>& kept, T* output, bool whole) {
  make_room(pass, kept);
  const std::size_t positions = pass.positions();
  const auto column = [&](Column& layer, MeshNorm<T>& norm, BlockParameter gain, const T* x,
                          NormStatistics<T>& statistics, BlockParameter weight, T* normalised, T* y) {
    if (pass.by_positions) {
      norm_forward(pass, norm, gain, x, statistics, scratch_.share.data());
      layer.forward_from_positions(scratch_.share.data(), positions, value(weight), nullptr, normalised, y);
    } else {
      norm_forward(pass, norm, gain, x, statistics, normalised);
      layer.forward(normalised, positions, value(weight), nullptr, y);
    }
  };
  column(qkv_, norm1_, norm1_weight, input, kept.statistics1, qkv_weight, kept.normalised1.data(), kept.qkv.data());
  kernels::add_bias(kept.qkv.data(), value(qkv_bias), positions, qkv_.local_outputs());
  attend(pass, kept);
  join(pass, projection_, kept.attended.data(), projection_weight, input, GptSite::projection(layer_),
       kept.middle.data());

  column(expand_, norm2_, norm2_weight, kept.middle.data(), kept.statistics2, expand_weight, kept.normalised2.data(),
         kept.expanded.data());
  kernels::add_bias_gelu(kept.activated.data(), kept.expanded.data(), value(expand_bias), positions,
                         expand_.local_outputs());
  if (!whole) return;
  join(pass, contract_, kept.activated.data(), contract_weight, kept.middle.data(), GptSite::mlp(layer_), output);
}

template <class T>
const T* MeshBlock<T>::branch_gradient(const MeshPass& pass, Row& layer, const T* delta, std::uint32_t site, T* room,
                                       bool keep) {
  const std::size_t count = pass.own * pass.shape.channels;
  if (!pass.by_positions) {
    if (!pass.dropout.on() && !keep) return delta;
    std::copy_n(delta, count, room);
    lay_mask(pass, site, room);
    return room;
  }
  const T* share = delta;
  if (pass.dropout.on()) {
    std::copy_n(delta, count, scratch_.share.data());
    lay_mask(pass, site, scratch_.share.data());
    share = scratch_.share.data();
  }
  layer.gather_gradient(share, pass.positions(), room);
  return room;
}

template <class T>
template <class Weights>
void MeshBlock<T>::column_backward(const MeshPass& pass, Column& layer, BlockParameter weight, const T* dy,
                                   Weights&& weights, MeshNorm<T>& norm, BlockParameter gain, const T* x,
                                   const NormStatistics<T>& statistics, T* delta, T* sums) {
  T* const narrow = scratch_.narrow.data();
  if (pass.by_positions) {
    layer.backward_input_to_positions(dy, pass.positions(), value(weight), narrow);
    weights();
  } else {
    Work summed = layer.backward_input_async(dy, pass.positions(), value(weight), narrow);
    weights();
    summed.wait();
  }
  norm.backward({.x = x,
                 .dy = narrow,
                 .gain = value(gain),
                 .statistics = &statistics,
                 .rows = pass.own,
                 .delta = delta,
                 .sums = sums,
                 .gain_terms = scratch_.gain_terms.data()});
}

template <class T>
void MeshBlock<T>::backward_input(const MeshPass& pass, const T* input, const MeshActivations<T>& kept,
                                  MeshDerivatives<T>& derivatives, T* delta, const MicroTerm* term) {
  make_room(pass, derivatives);
  const std::size_t positions = pass.positions();
  // The gradients of a layer's weight and bias, if it is time for them.
  const auto weights = [&](auto& layer, BlockParameter weight, const T* x, const T* dy) {
    if (term == nullptr) return;
    parameters_.add_layer(at(weight), *term, [&](T* dw, T* db) { layer.backward_weight(x, dy, positions, dw, db); });
  };
  const T* branch =
      branch_gradient(pass, contract_, delta, GptSite::mlp(layer_), derivatives.contract.data(), term == nullptr);
  T* const wide = derivatives.expand.data();
  contract_.backward_input(branch, positions, value(contract_weight), wide);
  weights(contract_, contract_weight, kept.activated.data(), branch);
  kernels::gelu_backward(wide, wide, kept.expanded.data(), positions * expand_.local_outputs());
  column_backward(
      pass, expand_, expand_weight, wide, [&] { weights(expand_, expand_weight, kept.normalised2.data(), wide); },
      norm2_, norm2_weight, kept.middle.data(), kept.statistics2, delta, derivatives.norm2.data());
  if (term != nullptr) parameters_.add_norm(at(norm2_weight), *term, derivatives.norm2.data());

  branch = branch_gradient(pass, projection_, delta, GptSite::projection(layer_), derivatives.projection.data(),
                           term == nullptr);
  projection_.backward_input(branch, positions, value(projection_weight), scratch_.attended.data());
  weights(projection_, projection_weight, kept.attended.data(), branch);
  T* const dqkv = derivatives.qkv.data();
  attend_backward(pass, kept, dqkv, scratch_.attended.data());
  column_backward(
      pass, qkv_, qkv_weight, dqkv, [&] { weights(qkv_, qkv_weight, kept.normalised1.data(), dqkv); }, norm1_,
      norm1_weight, input, kept.statistics1, delta, derivatives.norm1.data());
  if (term != nullptr) parameters_.add_norm(at(norm1_weight), *term, derivatives.norm1.data());
}

template <class T>
void MeshBlock<T>::backward_weight(const MeshPass& pass, const MeshActivations<T>& kept,
                                   const MeshDerivatives<T>& derivatives, const MicroTerm& term) {
  const auto weights = [&](auto& layer, BlockParameter weight, const T* x, const T* dy) {
    parameters_.add_layer(at(weight), term,
                          [&](T* dw, T* db) { layer.backward_weight(x, dy, pass.positions(), dw, db); });
  };
  weights(contract_, contract_weight, kept.activated.data(), derivatives.contract.data());
  weights(expand_, expand_weight, kept.normalised2.data(), derivatives.expand.data());
  parameters_.add_norm(at(norm2_weight), term, derivatives.norm2.data());
  weights(projection_, projection_weight, kept.attended.data(), derivatives.projection.data());
  weights(qkv_, qkv_weight, kept.normalised1.data(), derivatives.qkv.data());
  parameters_.add_norm(at(norm1_weight), term, derivatives.norm1.data());
}

template class MeshBlock<float>;
template class MeshBlock<double>;

}  // namespace trireme::models
