// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "models/dropout.hpp"
#include "models/gpt_parameters.hpp"
#include "models/gpt_shape.hpp"
#include "models/mesh_norm.hpp"
#include "models/mesh_parameters.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/column_linear.hpp"
#include "trireme/tensor_parallel/positions_dropout.hpp"
#include "trireme/tensor_parallel/row_linear.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme::models {

/// What one micro-batch is to every layer of a rank.
struct MeshPass {
  const tensor_parallel::Axis* axis = nullptr;
  GptShape shape;       ///< of the logical tensors
  std::size_t own = 0;  ///< positions between tensor-parallel layers: all, or this rank's share
  bool by_positions = false;
  Dropout dropout;
  std::size_t positions() const { return shape.positions(); }
  tensor_parallel::PositionsShape spread() const { return {shape.rows, shape.length, shape.channels}; }
};

/// Lays the mask of positions x channels on what this rank has of them.
template <class T>
void lay_mask(const MeshPass& pass, std::uint32_t site, T* values) {
  if (pass.by_positions) {
    tensor_parallel::positions_dropout(*pass.axis, pass.spread(), pass.dropout, site, values);
  } else {
    pass.dropout.apply(values, pass.shape.rows, pass.shape.length * pass.shape.channels, site);
  }
}

/// What a block's forward pass leaves for its backward pass, beside its input.
template <class T>
struct MeshActivations {
  data::AlignedBuffer<T> normalised1, normalised2;  ///< of all positions
  NormStatistics<T> statistics1, statistics2;
  data::AlignedBuffer<T> qkv, weights, attended;  ///< of the own heads
  data::AlignedBuffer<T> middle;
  data::AlignedBuffer<T> expanded, activated;  ///< of the own columns
};

/// What the backward pass of the weights needs of that of the inputs.
template <class T>
struct MeshDerivatives {
  data::AlignedBuffer<T> contract, expand, projection, qkv;  ///< by the outputs of those layers
  data::AlignedBuffer<T> norm1, norm2;                       ///< gradients of gain and bias
};

/// Memory that all passes of a rank use one after the other.
template <class T>
struct MeshScratch {
  data::AlignedBuffer<T> attention;
  data::AlignedBuffer<T> share;       ///< own positions x channels
  data::AlignedBuffer<T> narrow;      ///< positions x channels
  data::AlignedBuffer<T> attended;    ///< derivative by the own heads' output
  data::AlignedBuffer<T> gain_terms;  ///< own positions x channels
  MeshDerivatives<T> derivatives;     ///< of one block, where backward is not split
};

/// One block of a Gpt on this rank of the tensor axis.
template <class T>
class MeshBlock {
 public:
  MeshBlock(tensor_parallel::Axis& axis, const GptOptions& options, std::size_t layer, bool by_positions,
            MeshParameters<T>& parameters, MeshScratch<T>& scratch);

  /// As block_forward(); `whole` or without the last product, as backward needs what comes before it. Whether it is whole the
  /// output does not tell: a rank without positions has none.
  void forward(const MeshPass& pass, const T* input, MeshActivations<T>& kept, T* output, bool whole = true);
  /// From the derivative by the output to that by the input, in `delta`. With `term`, gradients of weights are added on the
  /// way; without, `derivatives` says all that backward_weight() needs.
  void backward_input(const MeshPass& pass, const T* input, const MeshActivations<T>& kept,
                      MeshDerivatives<T>& derivatives, T* delta, const MicroTerm* term);
  void backward_weight(const MeshPass& pass, const MeshActivations<T>& kept, const MeshDerivatives<T>& derivatives,
                       const MicroTerm& term);

 private:
  using Column = tensor_parallel::ColumnParallelLinear<T>;
  using Row = tensor_parallel::RowParallelLinear<T>;
  std::size_t at(BlockParameter which) const { return first_ + static_cast<std::size_t>(which); }
  const T* value(BlockParameter which) const { return parameters_.value(at(which)); }

  void make_room(const MeshPass& pass, MeshActivations<T>& kept);
  void make_room(const MeshPass& pass, MeshDerivatives<T>& derivatives);
  /// sum = passed + dropout(branch + bias), branch being what `layer` makes of x.
  void join(const MeshPass& pass, Row& layer, const T* x, BlockParameter weight, const T* passed, std::uint32_t site,
            T* sum);
  const T* branch_gradient(const MeshPass& pass, Row& layer, const T* delta, std::uint32_t site, T* room, bool keep);
  void attend(const MeshPass& pass, MeshActivations<T>& kept);
  void attend_backward(const MeshPass& pass, const MeshActivations<T>& kept, T* dqkv, const T* dattended);
  void norm_forward(const MeshPass& pass, MeshNorm<T>& norm, BlockParameter gain, const T* x,
                    NormStatistics<T>& statistics, T* normalised);
  /// Through a column layer and the norm before it, into delta; `weights()` is called beside the sum over ranks.
  template <class Weights>
  void column_backward(const MeshPass& pass, Column& layer, BlockParameter weight, const T* dy, Weights&& weights,
                       MeshNorm<T>& norm, BlockParameter gain, const T* x, const NormStatistics<T>& statistics,
                       T* delta, T* sums);

  MeshParameters<T>& parameters_;
  MeshScratch<T>& scratch_;
  std::size_t layer_;
  std::size_t first_;  ///< dense index of the block's first parameter
  GptShape own_heads_;
  std::size_t first_head_;
  Column qkv_, expand_;
  Row projection_, contract_;
  MeshNorm<T> norm1_, norm2_;
};

extern template class MeshBlock<float>;
extern template class MeshBlock<double>;

}  // namespace trireme::models
