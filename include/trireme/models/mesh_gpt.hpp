// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/models/sample_place.hpp"
#include "trireme/pipeline/schedule.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

namespace trireme::models {

/// Settings of a MeshGpt. Equal on all ranks.
struct MeshGptOptions {
  GptOptions gpt{};
  /// Who does what when; its ranks are those of the pipeline axis, and it says how many stages and micro-batches there are.
  /// Without ranks: 1F1B of one micro-batch.
  pipeline::Schedule schedule{};
  std::size_t micro_batch_rows = 1;   ///< rows of a micro-batch at most
  std::vector<std::size_t> layers{};  ///< blocks of every stage, 1 at least; empty: as even as can be
  bool sequence_parallel = false;     ///< what lies between tensor-parallel layers is shared by positions
  std::optional<std::chrono::milliseconds> deadline{};  ///< of each message and collective; unset: the world's
};

/// Where a parameter of this rank stands in the dense Gpt's.
struct MeshPlacement {
  std::size_t parameter = 0;               ///< index in the dense list
  std::vector<std::int64_t> shape{};       ///< of the logical tensor
  std::vector<layout::Interval> ranges{};  ///< of its elements, in the order of the local ones
  bool whole = false;                      ///< every rank of the tensor axis has all of it
};

/// Gradients of which this rank has a part alone (ZeRO on the data axis).
struct MeshGradientParts {
  /// Which elements of parameter p the gradient of that index has, DataParallel::owned(); unset: all.
  std::function<layout::Interval(std::size_t parameter)> owned{};
  std::optional<Communicator> data{};  ///< the ranks among which gradients are shared out
};

/// The part of one rank in a Gpt over pipeline and tensor axes of a mesh: some blocks, and of their matrices some heads, rows
/// or columns. The embeddings are on the first stage, the final norm and the head on the last. What is computed is what Gpt
/// computes, with its initial values and its masks; replicas on a data axis are DataParallel's, ZeRO stages 0 to 2 (values
/// and gradients have memory of their own here, so stage 3 lends it none).
///
///     trireme::Mesh mesh(world.communicator(), {{"data", 2}, {"pipeline", 2}, {"tensor", 2}});
///     trireme::models::MeshGpt<float> model(mesh.axis("tensor"), mesh.axis("pipeline"), {.gpt = …, .schedule = …});
///     trireme::DataParallel data_parallel(mesh.axis("data"), model.parameters(),
///                                         {.zero_stage = 1, .tensor_axis = mesh.axis("tensor")});
///
/// `tensor_axis` is for LAMB and LARS, whose norms are completed there; Adafactor and Muon are refused where the tensor axis has several
/// ranks (parameters()' logical_shape says what is a share), stage 3 always.
///
/// Micro-batch i of M has rows [floor(i R/M), floor((i+1) R/M)) of a call's R rows. With n_i rows and g_i the gradient of
/// the mean loss over its positions, a gradient is the sum over i, ascending, of g_i (n_i/R), each product and each sum rounded to T:
/// the mean over all positions of the call. The token embedding's is two such sums, the head's and the inputs', added to
/// each other last. Weighted by its rows as one leaf of DataParallel (Shard's weight as it is), a step's gradient
/// is the mean over all positions of all micro-batches of all replicas.
///
/// Shape:   parameters() of this rank: names of the logical tensors, local shapes; placements() says where they stand. Heads,
///          channels and vocabulary need not divide by the tensor axis: a rank may own no head, and then has parameters of no
///          elements. On one rank of the pipeline axis the tied embedding is there once, on two twice, with the same bits
///          in both.
/// Order:   gradients have the same bits under every schedule, and on any number of stages; with one tensor rank they are the dense
///          Gpt's by micro-batches, added as said, but for the order of the embedding's. On other numbers of tensor ranks
///          they differ by rounding, and with sequence_parallel those of norms do.
/// Cost:    per block and micro-batch, forward and backward each, two all_reduces of positions x channels on the tensor axis (as
///          many bytes as reduce_scatters and all_gathers with sequence_parallel); per micro-batch a message between stages each
///          way, and per step one all_reduce of the embedding's gradient between first and last stage. Memory: per live micro-batch
///          a block's activations (with GptOptions::recompute its input alone, and forward's sums over ranks once more); schedules that split backward keep the
///          derivatives of every layer, too.
/// Threads: one at a time.
/// Source:  Shoeybi et al., Megatron-LM, 2019 (arXiv 1909.08053); Narayanan et al., SC 2021 (arXiv 2104.04473); Korthikanti et
///          al., 2022 (arXiv 2205.05198).
template <class T>
class MeshGpt {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  /// `tensor`: the ranks that share layers; `pipeline`: those that share the stages. Collective over both.
  /// Errors: before any byte moves, on every rank alike: invalid_argument naming both numbers where the schedule has other
  ///         ranks than the pipeline axis, there are more stages than blocks, or the blocks given are not the model's;
  ///         as Gpt; as pipeline::Runtime.
  MeshGpt(Communicator tensor, Communicator pipeline, const MeshGptOptions& options);
  MeshGpt(MeshGpt&&) noexcept;
  MeshGpt& operator=(MeshGpt&&) noexcept;
  ~MeshGpt();

  const MeshGptOptions& options() const;
  const std::vector<Parameter>& parameters() const;
  /// Of each of parameters().
  const std::vector<MeshPlacement>& placements() const;
  /// As Gpt::use_gradients().
  void use_gradients(std::span<const Parameter> parameters);
  /// As Gpt::set_place(): where the first row of the next call stands.
  void set_place(const SamplePlace& place);

  /// The mean cross entropy over all positions of this replica's rows, the same on all its ranks; overwrites every gradient
  /// with its mean. `ready(p)` is called once per parameter of this rank, when its gradient is final: in the last micro-batch's
  /// backward pass, the token embedding's at the end.
  /// Shape:  as Gpt::forward_backward, the same tokens on all ranks of the replica; up to micro-batches x micro_batch_rows
  ///         rows. No rows: loss 0, gradients 0.
  /// Errors: before any byte moves, invalid_argument when rows or tokens do not fit.
  template <class Ready>
  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows, Ready&& ready) {
    const std::function<void(std::size_t)> call = std::ref(ready);
    return run(tokens, rows, call);
  }
  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows) { return run(tokens, rows, {}); }

  /// The number of targets and the sum of their losses over this replica's rows, without dropout, the same on all its ranks.
  /// Gradients are not touched. Unless empty, `losses` gets the loss of every target.
  /// Shape:  tokens as Gpt::forward_backward, the same on all ranks of the replica; any number of rows, which go
  ///         through the stages micro_batch_rows at a time; losses empty or rows x context.
  /// Errors: as forward_backward; what a stage throws ends the world with its words, as in pipeline::Runtime::run().
  TokenEvaluation evaluate(std::span<const std::uint16_t> tokens, std::size_t rows, std::span<double> losses = {});

  /// Calls take(p, values) for every parameter of the dense list, in order, with the values of the whole logical tensor, on every
  /// rank: for hashes and exports.
  /// Cost:   one whole tensor of memory; everything is gathered over the tensor axis and broadcast over the pipeline axis.
  void for_each_logical(const std::function<void(std::size_t parameter, std::span<const T> values)>& take) const;

  /// `whole` becomes the logical tensor whose shares lie as those of dense parameter `parameter` do: its value, or an optimizer's state
  /// of it. Collective over both axes.
  /// Shape:  own as this rank's parameter, read where placements() has it; whole as the logical tensor, on one tensor rank of any
  ///         size.
  /// Cost:   as for_each_logical, of one tensor.  Errors: invalid_argument naming the parameter.
  void gather_logical(std::size_t parameter, std::span<const T> own, std::span<T> whole) const;

  /// The 2-norm of the whole model's gradient, the same bits on every rank: squares are summed by blocks of 4096 elements of
  /// each local tensor, by tensors over the tensor axis, then over tensors, in fixed trees. What several ranks have counts
  /// once. Not finite where any gradient is not: a step to skip, on all ranks alike. What ApplyOptions::norm asks for, without which
  /// apply() refuses to clip, or to look for infinities, by what one rank has.
  /// Shape:  by index of parameters(): Step::gradients() behind reduce(), say.  Cost: one f64 per tensor on both axes; with
  ///         parts one per block on the data axis.
  double gradient_norm(std::span<const TensorView> gradients, const MeshGradientParts& parts = {}) const;
  /// Scales the gradients by max_norm/norm, in place, when that norm is finite and above `max_norm`; returns the norm before. For
  /// optimizers of others: apply() clips by itself.
  double clip_gradients(std::span<const TensorView> gradients, double max_norm,
                        const MeshGradientParts& parts = {}) const;

 private:
  struct State;
  double run(std::span<const std::uint16_t> tokens, std::size_t rows, const std::function<void(std::size_t)>& ready);

  std::unique_ptr<State> state_;
};

extern template class MeshGpt<float>;
extern template class MeshGpt<double>;

}  // namespace trireme::models
