// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/op.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/ownership.hpp"
#include "trireme/optim/loss_scaler.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/leaf_assignment.hpp"
#include "trireme/parallel/step_outcome.hpp"
#include "trireme/parallel/synchronizer_factory.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::telemetry {
class SpanRecorder;
}

namespace trireme {

/// Settings of DataParallel. Equal on all ranks, `gradients_as_bucket_views` and `trace` apart.
struct DataParallelOptions {
  Bytes bucket_bytes{std::uint64_t{25} << 20};  ///< gradients that travel together; of the accumulator type
  Bytes first_bucket_bytes{std::uint64_t{1}
                           << 20};  ///< the first is small, so that communication starts early; at most
                                    ///< bucket_bytes in any case
  int logical_shards = 0;  ///< V, leaves of the global batch; 0: one per rank. With V set, any number of ranks up to
                           ///< V gives the same bits; V must then be a power of two
  int accumulate = 0;  ///< A, passes per rank and step, a power of two: V is A times the ranks. With V set, too, they
                       ///< must agree; 0: whatever V says
  /// ZeRO, how much of training's state the P ranks share out among them, of N bytes of values, G of gradients and K of
  /// optimizer state. 0: nothing; 1: optimizer state, N + G + K/P bytes a rank; 2: gradients too, N + (G + K)/P and two
  /// buckets of gradients under way; 3: values too, (N + G + K)/P, two units of values in use and two buckets. (A unit whose
  /// parameters are not neighbours in the list, a tied embedding's, stays open while others come and go: its bucket is held beside those
  /// two.) Gradients are reduce-scattered, each rank
  /// updates the elements that it owns, and values are all-gathered: as many bytes on the wire as by all_reduce, at stage 3
  /// values are gathered in every pass over a leaf, forward and backward: with one leaf per rank half as many bytes more. Changes no bit.
  ///
  /// From stage 1 on apply() is collective, Step::gradient() is the part that this rank owns, until apply(), and buckets
  /// keep their order (rebuild_buckets). The optimizer keeps state of owned elements alone: after rebind() to another number
  /// of ranks they are others, and apply() refuses what it kept (invalid_argument naming the parameter) unless a checkpoint
  /// was restored in between. Row-sparse parameters are not shared out: every rank keeps all of their state, which a
  /// checkpoint of parts (checkpoint::OptimizerState with owners) does not save.
  ///
  /// At stage 3 a model asks for values, and for room for gradients, through DataParallel::access(), unit by unit, and so
  /// communicates in its passes: every rank iterates all its shards, and runs a pass of those that have no samples as well
  /// (Shard::samples() may be empty). Values given are read once, rank 0's counting, and not used again; null ones come from
  /// `initial`. No rebind(): save a checkpoint and restore it into a new DataParallel.
  /// Shape:  host memory. Any sizes: parameters are cut at multiples of 4096 elements, and a rank may own nothing of a
  ///         bucket. At stage 2 gradients given may be null: access() then says where to write.
  /// Cost:   stage 2 with several own leaves in a block folds whole gradients, in as much memory as stage 1: see
  ///         leaf_assignment. Without overlap, or when gradients become ready in another order than that of the buckets,
  ///         more buckets are held.
  /// Errors: invalid_argument for a stage that there is not, from stage 2 on for gradients_as_bucket_views; unsupported for
  ///         parameters in device memory, and at stage 3 for row_sparse.
  int zero_stage = 0;
  /// Shards are cut between tensors only: for rules that see whole tensors (Adafactor, Muon).
  bool zero_whole_tensors = false;
  /// Hybrid sharding, from stage 1 on: so many consecutive ranks share the shards, every group of them has all: less
  /// memory saved, values gathered inside a group. 0: all ranks. Gradients are reduced over all ranks in the brackets of
  /// the whole tree: inside the groups, then across them, where every group's leaves are a subtree, as they are with powers
  /// of two; elsewhere by all_reduce of whole buckets, at twice the traffic (DataParallel::explain() says which). Changes no
  /// bit.
  /// Errors: invalid_argument unless it divides the ranks.
  int shard_group = 0;
  /// Which leaves are a rank's own; samples follow. Any stage; changes no bit.
  /// Errors: invalid_argument for cyclic where the number of ranks is not a power of two, unsupported with row_sparse.
  LeafAssignment leaf_assignment = LeafAssignment::block;
  /// Stage 2, 3: names (`*` patterns) of parameters that come and go together, a layer each; a parameter belongs to the
  /// first that has it. A unit is a bucket (one for each accumulator type), and those in none are filled into buckets, each
  /// a unit. Unset: one per bucket. Row-sparse parameters are in none, also where one names them. Below stage 2 without
  /// effect.
  /// Errors: invalid_argument for a unit that no parameter is left for, or row-sparse ones alone.
  std::vector<std::vector<std::string>> units{};
  /// Stage 3, where values are null: fills what this rank owns of a parameter, elements [first, first + part.count).
  std::function<void(std::size_t parameter, std::size_t first, TensorView part)> initial{};
  bool overlap = true;  ///< reduce buckets while backward still runs; changes no bit
  /// When gradients have become ready in the same order in two steps running on rank 0, and buckets filled in that order
  /// would be others, they are from the next step on, on all ranks. Changes no bit. Not while a rank has bucket views, whose
  /// places stay; nor without overlap.
  bool rebuild_buckets = true;
  ReductionOrder order = ReductionOrder::canonical;
  std::optional<std::chrono::milliseconds> deadline{};  ///< of each reduction; unset: the world's
  /// Gradients live where they travel: DataParallel allocates their memory (arena, one range per bucket, every gradient on
  /// a cache line of its own) and parameters()[p].gradient says where backward shall write, from construction to
  /// destruction, rebind() included. Of the gradients given only dtype and count are read; null memory is legal, and what
  /// backward goes on writing there is not seen. With one leaf per rank nothing is then copied: ready() weighs in place,
  /// the ranks of this host read there, and after reduce() the mean is there (at zero_stage 1 of what is owned, until
  /// apply()). From ready() to reduce() a gradient is then neither to be written nor read; one that is not ready, or of
  /// weight 0, is overwritten. Changes no bit.
  bool gradients_as_bucket_views = false;
  /// Names of parameters (`*` stands for any characters, as in optimizer groups) of which a leaf touches few rows, indices of
  /// the first dimension: embeddings, the weights {features, outputs} of a linear model of sparse data. With
  /// Shard::ready_rows() only the union U of the rows that the ranks touched travels: mean[r] = sum over the leaves
  /// v of f32(g_v[r] f32(w_v)) along the tree, over the sum of the w_v, for r in U, and +0 elsewhere. Changes no bit, and
  /// after reduce() the gradient is dense, so that optimizers, clipping and norms are what they were (of all rows).
  ///
  /// These parameters are in no bucket; they are reduced in reduce(), behind the buckets. Their gradients stay in the caller's
  /// memory, with gradients_as_bucket_views too; where that is null then, they lie in DataParallel's, like the views.
  /// Shape:  one dimension or more, at most 2^32 - 1 rows; of one dimension, rows of one element.
  /// Cost:   of each parameter, a rank sends every other one 4 bytes, then 4 per row it touched, or rows/8 if that is less
  ///         (of all ranks together); then |U| rows are all-reduced instead of all. When U is more than half of the rows,
  ///         all are, and which rows is not asked when one rank alone touched as many. Time and heap memory are those of the
  ///         rows touched, but for a look at a bit per row; in the arena lies a copy of the gradient, as of any other.
  /// Errors: invalid_argument naming the name that no parameter has, or the parameter without rows.
  std::vector<std::string> row_sparse{};
  /// Where to record what a step does and when: see parallel/README. Must outlive the DataParallel; null: nowhere, which
  /// costs a comparison per event. Changes no bit.
  telemetry::SpanRecorder* trace = nullptr;
  /// Tensor parallelism: the ranks that have the other shares of parameters with a Parameter::logical_shape (MeshGpt's), at the same
  /// place of the data axis. What LAMB and LARS sum over a whole tensor is completed there, in one all_reduce of two f64 per
  /// tensor and step; apply() is then collective over that axis as well. Norms differ from those of one rank in the last bits.
  /// Errors: where it is unset, apply() refuses LAMB and LARS for such parameters (unsupported, on every rank, before anything has
  ///         changed), and rules that see whole tensors (Adafactor, Muon) in any case; rebind(): unsupported.
  std::optional<Communicator> tensor_axis{};
  /// Of parameters in device memory: the stream on which backward writes gradients. What ready() and apply() give to the device
  /// goes there, behind what it holds. The host waits for the device in reduce(), in apply() where it has to know whether the gradients
  /// are finite, and in gradient_norm(). Give the optimizer the same stream (Optimizer::use_device()).
  Stream stream{};
  /// Where gradients are summed, and perhaps values updated, in place of all_reduce among the ranks: on parameter servers, see
  /// ps/synchronizer.hpp, which says what each promises. Null: all_reduce. Equal on all ranks by its settings().
  /// Shape:  host memory, leaves in blocks, zero_stage 0.  Errors: unsupported for others.
  std::shared_ptr<parallel::SynchronizerFactory> synchronizer{};
};

/// What applying a step may do besides updating.
struct ApplyOptions {
  /// Scales all gradients by clip_norm / norm when their global 2-norm is above; 0: no clipping. The norm is summed in
  /// f64 by blocks of 4096 elements of each tensor, lanes, blocks and tensors in fixed trees: the same bits anywhere.
  double clip_norm = 0.0;
  /// Bounds each element of the gradients, after clip_norm; 0: no clipping.
  double clip_value = 0.0;
  /// The losses were multiplied by its scale(): gradients are divided by it before anything else, and it learns whether
  /// they were finite. Null: they were not.
  LossScaler* loss_scaler = nullptr;
  /// Gradients with an infinity or NaN change nothing. Always so with a loss_scaler.
  bool skip_nonfinite = false;
  /// Of parameters that are part of a model (Parameter::is_part, MeshGpt's): the 2-norm of the whole model's gradient, the same on
  /// all its ranks and not finite where any gradient is not, in place of that of the gradients here. It clips by it, and
  /// skips a step, on all ranks alike. Called at most once, with Step::gradients(), which a loss_scaler has not divided yet.
  ///     step.apply(optimizer, {.clip_norm = 1.0, .norm = [&](auto gradients) { return model.gradient_norm(gradients); }});
  std::function<double(std::span<const TensorView> gradients)> norm{};
};

/// What apply() did; the same on every rank.
enum class ApplyOutcome : unsigned char {
  applied,
  empty,      ///< the total weight was 0: there was nothing to apply
  nonfinite,  ///< skipped: the gradients were not finite
};

namespace parallel {
class StepState;
class DataParallelState;

/// The track of DataParallelOptions::trace on which the thread that takes the steps is drawn; a loop that records its own
/// forward and backward there has all in one line.
inline constexpr const char* steps_track = "steps";
}  // namespace parallel

/// One leaf of the global batch, owned by this rank: a pass of backward.
class Shard {
 public:
  /// Indices of its samples. Never empty, leaves without samples being accounted for without a pass, but at zero_stage 3.
  std::span<const std::uint32_t> samples() const { return samples_; }
  /// Replaces the leaf's weight in the mean, samples().size(): tokens, say. Before the first ready() of this shard.
  /// 0 leaves the shard out.  Errors: invalid_argument unless finite and >= 0.
  void weight(double weight);
  /// The gradient of parameter `parameter` (its index in the list) over this shard is complete in its memory, as the
  /// mean over the shard. Once per parameter and shard, in any order. Communication may start now.
  void ready(std::size_t parameter);
  /// The same of a row-sparse parameter (DataParallelOptions::row_sparse), of the rows named: the others count as zero, and
  /// their memory is not read. No rows: a gradient of zeros. ready() stands for all rows; it copies them once more.
  /// Shape: ascending and distinct; read before it returns.  Errors: invalid_argument naming parameter and row.
  void ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows);

 private:
  friend class Shards;
  friend class parallel::StepState;
  parallel::StepState* step_ = nullptr;
  std::span<const std::uint32_t> samples_;
};

/// This rank's shards of a step, to be iterated once.
class Shards {
 public:
  class Iterator {
   public:
    Shard& operator*() const;
    Iterator& operator++();
    bool operator!=(std::nullptr_t) const { return step_ != nullptr; }

   private:
    friend class Shards;
    explicit Iterator(parallel::StepState* step) : step_(step) {}
    parallel::StepState* step_;
  };
  Iterator begin();
  std::nullptr_t end() const { return nullptr; }

 private:
  friend class Step;
  explicit Shards(parallel::StepState* step) : step_(step) {}
  parallel::StepState* step_;
};

/// One step of training: shards, reduction, update.
class Step {
 public:
  Shards shards();
  /// Completes the reduction of all gradients; collective.
  StepOutcome reduce();
  /// Updates every parameter that was ready on any leaf of any rank. At most once, after reduce() returned ready. A
  /// step of total weight 0 changes nothing. From zero_stage 1 on collective.
  /// Errors: invalid_argument from zero_stage 1 on for a rule that sees whole tensors, without zero_whole_tensors; on every rank, before
  ///         anything has changed, for clip_norm, loss_scaler or skip_nonfinite without ApplyOptions::norm where parameters are part of a
  ///         model.
  ApplyOutcome apply(Optimizer& optimizer, const ApplyOptions& options = {});
  /// What apply() says by itself: the gradients have been used, by an optimizer of your own. From here on the sampler stands at
  /// the next step, and a checkpoint taken goes on there. After reduce().
  void done();
  /// The reduced gradients (weighted means, in the accumulator type), by parameter index: for optimizers of others. Those of
  /// row-sparse parameters are to be read only: in the next step only the rows that were touched are cleared.
  /// From zero_stage 1 on the elements DataParallel::owned() alone, which may be none, and until apply().
  TensorView gradient(std::size_t parameter) const;
  std::vector<TensorView> gradients() const;
  /// Whether the parameter was ready on any leaf of any rank; after reduce().
  bool used(std::size_t parameter) const;

  /// Whether any rank called DataParallel::request_checkpoint(); after reduce().
  bool checkpoint_requested() const;

  std::uint64_t epoch() const;
  std::uint64_t index() const;       ///< of this step in its epoch
  std::size_t batch_size() const;    ///< samples of the global batch
  double total_weight() const;       ///< after reduce()
  double reduction_seconds() const;  ///< after reduce(): how long it took on this rank; what overlapped is not in it
  double gradient_norm() const;  ///< after apply() with clip_norm or a finite check: the norm before clipping, unscaled

 private:
  friend class parallel::DataParallelState;
  explicit Step(parallel::StepState* state) : state_(state) {}
  parallel::StepState* state_;
};

/// The rest of an epoch, step by step. The sampler's cursor moves on when a step has been applied (apply(), done()), or at the
/// end of the loop's body; leaving the loop before (break), or by a stop, leaves it at the step that was under way: what has
/// changed no parameter is not lost. So inside the loop, behind apply(), a checkpoint may be taken. A loop left between shards()
/// and reduce() must be left by all ranks at that step; the next loop first completes what was begun.
class Steps {
 public:
  class Iterator {
   public:
    Step& operator*() const;
    Iterator& operator++();
    bool operator!=(std::nullptr_t) const { return state_ != nullptr; }

   private:
    friend class Steps;
    explicit Iterator(parallel::DataParallelState* state) : state_(state) {}
    parallel::DataParallelState* state_;
  };
  Iterator begin();
  std::nullptr_t end() const { return nullptr; }

 private:
  friend class DataParallel;
  explicit Steps(parallel::DataParallelState* state) : state_(state) {}
  parallel::DataParallelState* state_;
};

/// Data parallelism: every rank holds the whole model and a part of each batch; gradients become their weighted mean
/// over the batch, bit-identical on any number of ranks up to logical_shards.
///
/// At construction the parameter lists of all ranks are compared (a difference is named) and rank 0's values broadcast.
/// Shape:   parameters f32, f64, f16 or bf16, gradients of the same type, of 16-bit ones also f32; values and gradients are the caller's memory and stay where they are, unless gradients
///          are bucket views.
/// Cost:    one copy of the gradients in arena memory, log2(V/P) more when a rank folds several leaves; with bucket views
///          and one leaf per rank none. With one leaf in all (a world of one) nothing is copied or sent: ready() turns the
///          caller's gradient into the mean in place.
/// Order:   leaves are folded and reduced along the balanced tree over V; see the numerical contract.
///          Reductions run on a communicator of its own, split from the one given: whatever the caller issues on that
///          one at any moment of a step (a loss, another model's step) stands apart. Construction is collective.
/// Threads: one at a time.
/// Errors:  invalid_argument, unsupported, mismatch at construction; the communicator's in a step.
/// Source:  buckets and overlap: Li et al., PyTorch Distributed, VLDB 2020.
class DataParallel {
 public:
  DataParallel(Communicator communicator, std::vector<Parameter> parameters, const DataParallelOptions& options = {});
  DataParallel(DataParallel&&) noexcept;
  DataParallel& operator=(DataParallel&&) noexcept;
  ~DataParallel();

  /// Goes on with other ranks: as if constructed with `communicator`, with the same parameters and options. Collective
  /// over `communicator`; between loops. Each step then has the new number of ranks; V unset follows it.
  void rebind(Communicator communicator);
  /// From the next step on gradients travel as `synchronizer` says, null: by all_reduce. In the loop behind apply() or done(), or
  /// between loops; on all ranks in the same step: collective at the beginning of the next one. Values stay as they are, no
  /// step is lost, and where both add in the order of the leaves no bit changes.
  /// Errors: at the next step mismatch where ranks differ, unsupported as for DataParallelOptions::synchronizer, and its own; the
  ///         way before is then kept.
  void use(std::shared_ptr<parallel::SynchronizerFactory> synchronizer);
  /// The communicator it reduces on.
  const Communicator& communicator() const;

  /// The steps from the sampler's cursor to the end of its epoch. The sampler must outlive the loop. Each loop begins
  /// with a look at all ranks' samplers, which must be equal (mismatch, naming the difference).
  Steps steps(data::DistributedSampler& sampler);
  /// Steps over data that no sampler numbers, such as streams: V leaves in each, without samples. A leaf's weight is 1 until
  /// weight() says otherwise (samples, tokens), 0 where this rank has run out of data; a rank without any more may call
  /// reduce() alone. The loop ends, on all ranks, behind the first step whose weights are all 0; apply() changes nothing in it.
  Steps steps();
  /// Ends the loop after the step of the next reduce(), on this and every other rank: it returns stop on all. A later
  /// loop is not concerned.
  void request_stop();
  /// Asks for a checkpoint: Step::checkpoint_requested() of the next reduce() says so on this and every other rank, so that
  /// all save at the same step whoever was asked, by a signal or by its clock.
  void request_checkpoint();

  /// Elements of a parameter that this rank owns: updates, and keeps optimizer state of. All at stage 0, and of row-sparse
  /// parameters.  Errors: invalid_argument when there is no such parameter.
  layout::Interval owned(std::size_t parameter) const;
  layout::Interval owned(std::string_view parameter) const;
  /// The same for checkpoint::OptimizerState, at every stage: at 0 every rank owns everything alike. Valid as long as this object
  /// is, until rebind().
  layout::Ownership ownership() const;
  /// Where models find values and room for gradients, from stage 2 on. At stage 2 values are whole and stay where they are, and
  /// acquire() and release() do nothing; at stage 3 a unit's values are gathered when it is acquired, the unit expected next
  /// beside it. gradient(p) is memory of p's bucket, in the accumulator type, to be asked for in every shard; a
  /// parameter of which it was not asked for is read from its own gradient. It stays the same object through rebind().
  /// Of row-sparse parameters it is their gradients' memory, in no unit. Gpt asks at both stages (its use_access()), Mlp, Cnn, ResNet and
  /// Tabular for gradients, at stage 2.
  /// Errors: invalid_argument below stage 2; of gradient(p): outside of a shard.
  ParameterAccess& access();
  /// The values of the elements owned(): at stage 3 the only ones that this rank keeps. For checkpoints, averages of weights
  /// and optimizers of others.  Errors: as owned(); at stage 3 invalid_argument while a unit is held.
  TensorView owned_value(std::size_t parameter);
  /// The list with owned_value() in place of the values: what checkpoint::ParameterState takes, with owned(), at stage 3.
  std::vector<Parameter> owned_parameters();
  /// Owned values have been written by others than apply(), on every rank: whoever reads values from now on reads the new ones.
  /// Collective from stage 1 on, below without effect.  Errors: invalid_argument while a unit is held.
  void values_written();
  /// How gradients travel, and why, in a sentence.
  std::string explain() const;
  /// Arena or device memory that gradients take on this rank now, caller's memory and row-sparse parameters apart.
  Bytes gradient_memory() const;
  /// Arena memory that values take on this rank now, at zero_stage 3: the parts owned and the units that are whole. Below 0:
  /// values are the caller's.
  Bytes value_memory() const;

  int logical_shards() const;
  /// The list it was given; with gradients_as_bucket_views each gradient is where DataParallel wants it.
  const std::vector<Parameter>& parameters() const;
  /// Parameter indices of each bucket (row-sparse ones are in none), in the order in which they are reduced; of the step under way, or the last one.
  std::vector<std::vector<std::size_t>> buckets() const;

 private:
  std::unique_ptr<parallel::DataParallelState> state_;
};

using data::DistributedSampler;

}  // namespace trireme
