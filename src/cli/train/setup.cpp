// SPDX-License-Identifier: Apache-2.0
#include "cli/train/setup.hpp"

#include "cli/train/batch_norm_exchange.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme::cli {
namespace {

constexpr Bytes first_bucket{std::uint64_t{1} << 20};

std::unique_ptr<Optimizer> make_optimizer(const OptimizerChoice& choice,
                                          const std::vector<std::string>& without_decay) {
  auto optimizer = optimizer_named(choice.name).make(choice);
  if (!without_decay.empty() && choice.weight_decay != 0)
    optimizer->add_group({.name = "without decay", .parameters = without_decay, .weight_decay = 0.0});
  return optimizer;
}

}  // namespace

int leaves_of(const TrainOptions& options, int ranks) {
  const std::string who = options.mesh ? " replicas" : " ranks";
  if (options.accumulate != 0) {
    const int leaves = options.accumulate * ranks;
    if (options.logical_shards != 0 && options.logical_shards != leaves) {
      fail(ErrorCode::invalid_argument, "--logical-shards " + std::to_string(options.logical_shards) +
                                            " and --accumulate " + std::to_string(options.accumulate) + " on " +
                                            std::to_string(ranks) + who + ", which make " + std::to_string(leaves) +
                                            ", do not agree: give one of the two");
    }
    return leaves;
  }
  if (options.logical_shards == 0) return ranks;
  if (options.logical_shards < ranks) {
    fail(ErrorCode::invalid_argument, "--logical-shards " + std::to_string(options.logical_shards) + " is below the " +
                                          std::to_string(ranks) + who +
                                          " of this world: raise it, or start fewer ranks");
  }
  return options.logical_shards;
}

namespace {

/// Fewer samples than micro-batches would leave some without any in every step.
void check_micro_batches(const TrainOptions& options, const Replicas& replicas, int leaves, std::size_t samples) {
  if (!options.mesh) return;
  const std::size_t batch = std::min(options.global_batch(replicas.count()), samples);
  const std::size_t rows = batch / static_cast<std::size_t>(leaves);
  const auto micro_batches = static_cast<std::size_t>(options.mesh->schedule.micro_batches);
  if (rows >= micro_batches) return;
  fail(ErrorCode::invalid_argument, "--micro-batches: " + std::to_string(micro_batches) + " of a pass over " +
                                        std::to_string(rows) + " samples, a batch of " + std::to_string(batch) +
                                        " in " + std::to_string(leaves) + (leaves == 1 ? " leaf" : " leaves") +
                                        ": give fewer of them, or a larger --batch-size");
}

void check_algorithm(Communicator communicator, const CallOptions& call) {
  try {
    static_cast<void>(communicator.explain(1, DType::f32, call));
  } catch (const Exception& refusal) {  // of an algorithm that was asked for, which train has no flag for
    fail(refusal.error().code, "TRIREME_ALGORITHM: " + refusal.error().message);
  }
}

}  // namespace

void check_against_world(const TrainOptions& options, const Replicas& replicas, std::size_t samples) {
  const Communicator& communicator = replicas.across();
  const CallOptions call{.order = options.order, .leaves = leaves_of(options, communicator.size())};
  check_sync_batch_norm(options, call.leaves, communicator.size());
  if (options.shard_group != 0 && communicator.size() % options.shard_group != 0) {
    fail(ErrorCode::invalid_argument, "--shard-group " + std::to_string(options.shard_group) + " does not divide the " +
                                          std::to_string(communicator.size()) +
                                          " ranks of this world: every group must have as many");
  }
  check_micro_batches(options, replicas, call.leaves, samples);
  check_algorithm(communicator, call);
  if (replicas.mesh() == nullptr) return;
  for (const char* axis : {"pipeline", "tensor"}) check_algorithm(replicas.mesh()->axis(axis), {});
}

TaskPlace task_place(World& world, Communicator& communicator, const TrainOptions& options, const TrainingData& data,
                     const std::optional<TaskDevice>& device, const Mesh* mesh) {
  const auto leaves = static_cast<std::size_t>(leaves_of(options, communicator.size()));
  const std::size_t batch = std::min(options.global_batch(communicator.size()), data.samples());
  return {.communicator = communicator,
          .local_ranks = world.local_size(),
          .pass_rows = batch / leaves + 1,
          .device = device,
          .zero_stage = options.zero,
          .most_rows = (batch + leaves - 1) / leaves,
          .mesh = mesh,
          .is_first = world.rank() == 0};
}

DataParallelOptions parallel_options(const TrainOptions& options, Task& task, const Weights& weights, Stream stream,
                                     telemetry::SpanRecorder* trace, const Mesh* mesh) {
  const bool sees_tensors =
      optimizer_named(options.optimizer.name).make(options.optimizer)->scope() == UpdateScope::tensor;
  DataParallelOptions parallel{.bucket_bytes = options.bucket_bytes,
                               .first_bucket_bytes = std::min(first_bucket, options.bucket_bytes),
                               .logical_shards = options.logical_shards,
                               .accumulate = options.accumulate,
                               .overlap = options.overlap,
                               .order = options.order,
                               .gradients_as_bucket_views = !weights.is_narrow() && options.zero < 2,
                               .row_sparse = task.row_sparse(),
                               .trace = trace,
                               .stream = stream};
  parallel.zero_stage = options.zero;
  parallel.zero_whole_tensors = sees_tensors && options.zero != 0;
  parallel.shard_group = options.shard_group;
  if (options.zero >= 2 && !weights.is_narrow()) parallel.units = task.units();
  if (mesh != nullptr && mesh->axis("tensor").size() > 1) parallel.tensor_axis = mesh->axis("tensor");
  if (options.zero == 3)
    parallel.initial = [&task](std::size_t p, std::size_t first, TensorView part) { task.set_initial(p, first, part); };
  return parallel;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerChoice& choice, const Task& task) {
  return make_optimizer(choice, task.without_decay());
}

std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options) {
  return make_optimizer(options.optimizer, options.model == "gpt" ? gpt_without_decay() : std::vector<std::string>());
}

data::SamplerOptions sampler_options(const TrainOptions& options, std::size_t samples, int ranks,
                                     const ServerSession* servers) {
  if (servers == nullptr || !servers->is_independent())
    return {.count = samples, .global_batch = options.global_batch(ranks), .seed = options.seed};
  const WorkerPlace& place = servers->place();
  const auto workers = static_cast<int>(place.workers);
  auto share = data::share_of(samples, place.worker, place.workers);
  if (servers->is_bulk_synchronous()) share.count = samples / place.workers;  // as many steps as the others
  share.global_batch = std::max<std::size_t>(options.global_batch(workers) / place.workers, 1);
  share.seed = options.seed;
  return share;
}

void check_validation(const ValidationOptions& validation, const Task& task) {
  if (task.size(Part::validation) != 0 || (!validation.keep_best && validation.patience == 0)) return;
  fail(ErrorCode::invalid_argument,
       std::string(validation.keep_best ? "--keep-best" : "--early-stop") +
           ": no samples are held out to go by: raise --held-out, or give a --test-dataset");
}

}  // namespace trireme::cli
