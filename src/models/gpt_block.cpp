// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_block.hpp"

#include "kernels/dense/dense.hpp"
#include "kernels/gelu/gelu.hpp"
#include "kernels/layer_norm/layer_norm.hpp"
#include "kernels/residual/residual.hpp"
#include "models/gemm.hpp"
#include "models/gpt_attention.hpp"
#include "models/gpt_site.hpp"

namespace trireme::models {
namespace {

using enum BlockParameter;

/// values = inputs weight^T
template <class T>
void multiply(T* values, const T* inputs, const T* weight, std::size_t rows, std::size_t from, std::size_t to) {
  gemm(Form::plain, Form::transposed, rows, to, from, inputs, weight, values);
}

/// sum = passed + dropout(branch + bias); branch may be sum.
template <class T>
void join(const BlockCall<T>& call, T* sum, T* branch, BlockParameter bias, const T* passed, std::uint32_t site) {
  const std::size_t rows = call.shape.positions();
  const std::size_t width = call.shape.channels;
  if (!call.dropout->on()) {
    kernels::add_bias_residual(sum, branch, call.tensors.value(bias), passed, rows, width);
    return;
  }
  kernels::add_bias(branch, call.tensors.value(bias), rows, width);
  call.dropout->apply(branch, call.shape.rows, call.shape.length * width, site);
  kernels::add(sum, branch, passed, rows * width);
}

/// The derivative by a branch before dropout.
template <class T>
const T* before_dropout(const BlockCall<T>& call, const T* delta, std::uint32_t site) {
  if (!call.dropout->on()) return delta;
  T* branch = call.scratch->branch.data();
  const std::size_t count = call.shape.length * call.shape.channels;
  for (std::size_t r = 0; r < call.shape.rows; ++r) {
    call.dropout->apply(branch + r * count, delta + r * count, r, 0, count, site);
  }
  return branch;
}

/// The gradients of a dense layer, from the derivative by its outputs.
template <class T>
void dense_gradients(const BlockCall<T>& call, BlockParameter weight, BlockParameter bias, const T* dy,
                     std::size_t outputs, const T* x, std::size_t inputs, const BlockReady& ready) {
  const std::size_t rows = call.shape.positions();
  kernels::column_sum(call.tensors.gradient(bias), dy, rows, outputs);
  ready(bias);
  gemm(Form::transposed, Form::plain, outputs, inputs, rows, dy, x, call.tensors.gradient(weight));
  ready(weight);
}

/// Adds what comes back through a norm to delta; dy is the derivative by its output.
template <class T>
void norm_backward(const BlockCall<T>& call, BlockParameter weight, BlockParameter bias, T* delta, const T* dy,
                   const T* x, const T* means, const T* inverse_roots, const BlockReady& ready) {
  const std::size_t rows = call.shape.positions();
  const std::size_t width = call.shape.channels;
  T* gain_terms = call.scratch->gain_terms.data();
  kernels::layer_norm_backward<T>({.dx = delta,
                                   .gain_terms = gain_terms,
                                   .dy = dy,
                                   .x = x,
                                   .gain = call.tensors.value(weight),
                                   .means = means,
                                   .inverse_roots = inverse_roots,
                                   .rows = rows,
                                   .columns = width});
  kernels::column_sum(call.tensors.gradient(bias), dy, rows, width);
  ready(bias);
  kernels::column_sum(call.tensors.gradient(weight), gain_terms, rows, width);
  ready(weight);
}

template <class T>
AttentionCall<T> attention_call(const BlockCall<T>& call) {
  return {.shape = call.shape,
          .qkv = call.kept->qkv.data(),
          .weights = call.kept->weights.data(),
          .attended = call.kept->attended.data(),
          .scratch = call.scratch->attention.data(),
          .dropout = call.dropout,
          .site = GptSite::attention(call.layer)};
}

}  // namespace

template <class T>
void BlockActivations<T>::make_room(const GptShape& shape) {
  const std::size_t positions = shape.positions();
  for (auto* buffer : {&normalised1, &attended, &middle, &normalised2}) buffer->ensure(positions * shape.channels);
  for (auto* buffer : {&means1, &inverse_roots1, &means2, &inverse_roots2}) buffer->ensure(positions);
  for (auto* buffer : {&expanded, &activated}) buffer->ensure(positions * 4 * shape.channels);
  qkv.ensure(positions * 3 * shape.channels);
  weights.ensure(positions * shape.heads * shape.length);
}

template <class T>
void BlockScratch<T>::make_room(const GptShape& shape, bool backward, bool dropout) {
  attention.ensure(attention_scratch(shape));
  if (!backward) return;
  const std::size_t count = shape.positions() * shape.channels;
  if (dropout) branch.ensure(count);
  narrow.ensure(count);
  wide.ensure(4 * count);
  gain_terms.ensure(count);
}

template <class T>
void block_forward(const BlockCall<T>& call, const T* input, T* output) noexcept {
  const std::size_t rows = call.shape.positions();
  const std::size_t width = call.shape.channels;
  const BlockTensors<T>& tensors = call.tensors;
  BlockActivations<T>& kept = *call.kept;
  kernels::layer_norm<T>({.y = kept.normalised1.data(),
                          .x = input,
                          .gain = tensors.value(norm1_weight),
                          .bias = tensors.value(norm1_bias),
                          .means = kept.means1.data(),
                          .inverse_roots = kept.inverse_roots1.data(),
                          .rows = rows,
                          .columns = width});
  multiply(kept.qkv.data(), kept.normalised1.data(), tensors.value(qkv_weight), rows, width, 3 * width);
  kernels::add_bias(kept.qkv.data(), tensors.value(qkv_bias), rows, 3 * width);
  attention(attention_call(call));
  T* middle = kept.middle.data();
  multiply(middle, kept.attended.data(), tensors.value(projection_weight), rows, width, width);
  join(call, middle, middle, projection_bias, input, GptSite::projection(call.layer));

  kernels::layer_norm<T>({.y = kept.normalised2.data(),
                          .x = middle,
                          .gain = tensors.value(norm2_weight),
                          .bias = tensors.value(norm2_bias),
                          .means = kept.means2.data(),
                          .inverse_roots = kept.inverse_roots2.data(),
                          .rows = rows,
                          .columns = width});
  multiply(kept.expanded.data(), kept.normalised2.data(), tensors.value(expand_weight), rows, width, 4 * width);
  kernels::add_bias_gelu(kept.activated.data(), kept.expanded.data(), tensors.value(expand_bias), rows, 4 * width);
  if (output == nullptr) return;
  multiply(output, kept.activated.data(), tensors.value(contract_weight), rows, 4 * width, width);
  join(call, output, output, contract_bias, middle, GptSite::mlp(call.layer));
}

template <class T>
void block_backward(const BlockCall<T>& call, const T* input, T* delta, const BlockReady& ready) {
  const std::size_t rows = call.shape.positions();
  const std::size_t width = call.shape.channels;
  const BlockTensors<T>& tensors = call.tensors;
  const BlockActivations<T>& kept = *call.kept;
  T* narrow = call.scratch->narrow.data();
  T* wide = call.scratch->wide.data();

  const T* branch = before_dropout(call, delta, GptSite::mlp(call.layer));
  dense_gradients(call, contract_weight, contract_bias, branch, width, kept.activated.data(), 4 * width, ready);
  gemm(Form::plain, Form::plain, rows, 4 * width, width, branch, tensors.value(contract_weight), wide);
  kernels::gelu_backward(wide, wide, kept.expanded.data(), rows * 4 * width);
  dense_gradients(call, expand_weight, expand_bias, wide, 4 * width, kept.normalised2.data(), width, ready);
  gemm(Form::plain, Form::plain, rows, width, 4 * width, wide, tensors.value(expand_weight), narrow);
  norm_backward(call, norm2_weight, norm2_bias, delta, narrow, kept.middle.data(), kept.means2.data(),
                kept.inverse_roots2.data(), ready);

  branch = before_dropout(call, delta, GptSite::projection(call.layer));
  dense_gradients(call, projection_weight, projection_bias, branch, width, kept.attended.data(), width, ready);
  gemm(Form::plain, Form::plain, rows, width, width, branch, tensors.value(projection_weight), narrow);
  attention_backward(attention_call(call), wide, narrow);
  dense_gradients(call, qkv_weight, qkv_bias, wide, 3 * width, kept.normalised1.data(), width, ready);
  gemm(Form::plain, Form::plain, rows, width, 3 * width, wide, tensors.value(qkv_weight), narrow);
  norm_backward(call, norm1_weight, norm1_bias, delta, narrow, input, kept.means1.data(), kept.inverse_roots1.data(),
                ready);
}

template struct BlockActivations<float>;
template struct BlockActivations<double>;
template struct BlockScratch<float>;
template struct BlockScratch<double>;
template void block_forward(const BlockCall<float>&, const float*, float*) noexcept;
template void block_forward(const BlockCall<double>&, const double*, double*) noexcept;
template void block_backward(const BlockCall<float>&, const float*, float*, const BlockReady&);
template void block_backward(const BlockCall<double>&, const double*, double*, const BlockReady&);

}  // namespace trireme::models
