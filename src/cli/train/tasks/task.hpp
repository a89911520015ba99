// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/tasks/model_shares.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/base/parameter_access.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/data/distributed_sampler.hpp"
#include "trireme/device/runtime.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/parallel/mesh.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// What is held against a model that trains.
enum class Part : unsigned char {
  validation,  ///< looked at during training: the part held out, or where none is, the test set
  test,        ///< looked at in the end: the test set, or where there is none, the part held out
};

/// What a loss of a task is told as.
enum class Measure : unsigned char {
  accuracy,    ///< the share of samples whose class has the greatest output
  perplexity,  ///< e to the loss, of a language model
  error,       ///< the root of the mean squared error, of a regression
};

/// What evaluate() finds in a rank's share: to be added over ranks.
struct EvaluationSums {
  std::uint64_t targets = 0;  ///< samples, or tokens
  std::uint64_t correct = 0;
  std::vector<double> block_losses;  ///< of each block of the share, in order
};

/// Where a pass stands.
struct PassPlace {
  std::uint64_t step = 0;     ///< steps before, skipped ones too
  std::size_t leaf = 0;       ///< index among the own leaves
  std::size_t first_row = 0;  ///< position of the shard's first sample in the global batch
};

/// Who hears how far a pass is.
class PassListener {
 public:
  virtual void forward_done() = 0;
  virtual void ready(std::size_t parameter) = 0;
  /// Of a parameter of row_sparse(): only these rows of its gradient are not zero.
  virtual void ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) = 0;

 protected:
  ~PassListener() = default;
};

/// A model with the samples it learns from: what the step loop knows of either.
/// Order:   results of a pass or an evaluation depend on the parameters and the samples, not on ranks.
/// Threads: one at a time.
class Task {
 public:
  virtual ~Task() = default;

  virtual const std::vector<Parameter>& parameters() const = 0;
  /// Values without a gradient that belong to the model's state.
  virtual std::span<const Parameter> buffers() const { return {}; }
  /// Names of parameters whose gradients ready_rows() announces.
  virtual std::vector<std::string> row_sparse() const { return {}; }
  /// Names of parameters that weight decay leaves alone.
  virtual std::vector<std::string> without_decay() const { return {}; }
  virtual void use_gradients(std::span<const Parameter> parameters) = 0;

  // Of a task made for TaskPlace::zero_stage 2 or 3; others keep whole values and gradients of their own.
  /// Names of parameters that come and go together.
  virtual std::vector<std::vector<std::string>> units() const { return {}; }
  /// Elements [first, first + part.count) of the initial values of a parameter whose value is null (stage 3).
  virtual void set_initial(std::size_t parameter, std::size_t first, TensorView part);
  /// Where values and gradients lie from here on. Then passes and sample() are collective at stage 3.
  virtual void use_access(ParameterAccess&) {}

  /// Of a task made for TaskPlace::mesh: parameters() are shares of a model that the ranks of a replica have together, and passes,
  /// evaluations and sample() are collective over these. Null: they are whole.
  virtual ModelShares* shares() { return nullptr; }

  /// "mlp 784-512-512-10"; "fashion-mnist train".
  virtual std::string model() const = 0;
  virtual std::string dataset() const = 0;
  /// What another program needs beside the weights to compute the model's outputs: a JSON object (tasks/model_config).
  virtual std::string config() const = 0;
  /// To train on.
  virtual std::size_t samples() const = 0;
  virtual Measure measure() const = 0;

  /// Once, before the first step; collective. Samples come as `sampler` deals them to this rank's block of `leaves` leaves; the
  /// sampler outlives the steps.
  virtual void feed(data::DistributedSampler& sampler, int leaves, layout::LeafBlock own) = 0;
  virtual void begin_step() {}
  /// The next shard's samples are made ready.
  virtual void load(std::span<const std::uint32_t> samples) = 0;
  /// Forward and backward over what was loaded last; its mean loss.
  virtual double pass(const PassPlace& place, PassListener& listener) = 0;
  /// The step was applied. Collective.
  virtual void end_step(Communicator& communicator, const CallOptions& options);

  /// Samples of a part; 0 where there is none.
  virtual std::size_t size(Part part) const = 0;
  /// Whether both parts are the same samples.
  virtual bool parts_are_one() const = 0;
  /// Samples that are evaluated together: shares are cut at its multiples.
  virtual std::size_t block() const = 0;
  virtual void evaluate(Part part, layout::Interval share, EvaluationSums& sums) = 0;
  /// Where passes communicate: so many of evaluate() over no samples, which other ranks have.
  virtual void evaluate_nothing(std::size_t) {}

  /// What the trained model has to show beside numbers; nothing, as a rule. Not collective.
  virtual std::optional<std::string> sample() { return std::nullopt; }
};

inline void Task::end_step(Communicator&, const CallOptions&) {}
inline void Task::set_initial(std::size_t, std::size_t, TensorView) {}

/// A device that a rank computes on, and where its work goes.
struct TaskDevice {
  std::shared_ptr<device::Runtime> runtime{};
  Stream stream{};  ///< outlives the task
};

/// The world a task is made for.
struct TaskPlace {
  Communicator& communicator;
  int local_ranks = 1;                 ///< of this host
  std::size_t pass_rows = 0;           ///< samples of a pass, but for one that a leaf may have more than another
  std::optional<TaskDevice> device{};  ///< unset: the model computes on the host
  int zero_stage = 0;                  ///< of DataParallelOptions
  std::size_t most_rows = 0;           ///< samples of a pass at most
  const Mesh* mesh = nullptr;  ///< of ranks that have the model together; outlives the task; null: each has all of it
  bool is_first = true;        ///< rank 0 of the world
};

/// Samples, before there is a world: whatever is wrong with them is said first.
class TrainingData {
 public:
  virtual ~TrainingData() = default;
  virtual std::size_t samples() const = 0;
  /// What tells them from other data of the same size: ranks compare it before they start.
  virtual std::string content() const = 0;
  /// The parameters of the model that learns from them, without memory: to see whether they fit. None: not known before it is made.
  virtual std::vector<Parameter> shapes() const { return {}; }
  /// This must outlive the task. Collective.
  /// Errors: invalid_argument when the samples do not suit the model; those of the communicator.
  virtual std::unique_ptr<Task> make_task(const TaskPlace& place) const = 0;
};

}  // namespace trireme::cli
