// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/replicas.hpp"
#include "cli/train/server_session.hpp"
#include "cli/train/tasks/task.hpp"
#include "cli/train/weights.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/optim/optimizer.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/telemetry/span_recorder.hpp"
#include "trireme/world/world.hpp"

#include <cstddef>
#include <memory>
#include <optional>

namespace trireme::cli {

/// What the world can say against these settings before anything moves.
/// `samples`: to train on.
/// Errors: invalid_argument, unsupported naming the flag or TRIREME_ALGORITHM; alike on all ranks.
void check_against_world(const TrainOptions& options, const Replicas& replicas, std::size_t samples);

/// What a trainer is made of, from what was asked for.
/// `communicator`: the ranks that share out a batch. `mesh`: of those that have a model together; null: every rank has all of it.
/// `device`, `stream`: where the model computes, if not on the host.
TaskPlace task_place(World& world, Communicator& communicator, const TrainOptions& options, const TrainingData& data,
                     const std::optional<TaskDevice>& device, const Mesh* mesh = nullptr);
/// `task` must outlive what is made with them.
DataParallelOptions parallel_options(const TrainOptions& options, Task& task, const Weights& weights, Stream stream,
                                     telemetry::SpanRecorder* trace, const Mesh* mesh = nullptr);
std::unique_ptr<Optimizer> make_optimizer(const OptimizerChoice& choice, const Task& task);
/// The same for who has no task: of parameter servers.
std::unique_ptr<Optimizer> make_optimizer(const TrainOptions& options);
/// Leaves of a batch on so many ranks. Errors: invalid_argument when flags do not agree.
int leaves_of(const TrainOptions& options, int ranks);

/// Which batches this worker's steps take: of independent ones (`servers`) of a share of the samples.
/// Errors: invalid_argument when there are more workers than samples.
data::SamplerOptions sampler_options(const TrainOptions& options, std::size_t samples, int ranks,
                                     const ServerSession* servers);

/// Errors: invalid_argument when something is to be chosen by samples that there are none of.
void check_validation(const ValidationOptions& validation, const Task& task);

}  // namespace trireme::cli
