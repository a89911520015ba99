// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/compute_device.hpp"
#include "cli/train/checkpoint_flags.hpp"
#include "cli/train/data_options.hpp"
#include "cli/train/gpt_flags.hpp"
#include "cli/train/lab_flags.hpp"
#include "cli/train/mesh_flags.hpp"
#include "cli/train/optimizers.hpp"
#include "cli/train/sync_flags.hpp"
#include "cli/train/tracking_flags.hpp"
#include "trireme/base/bytes.hpp"
#include "trireme/base/op.hpp"
#include "trireme/optim/schedule.hpp"
#include "trireme/optim/weight_average.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What a model of rows makes of its outputs.
enum class LossKind : unsigned char { cross_entropy, squared };

/// What parameters and gradients are kept as. Sums are f32 in any case, and so are the products of the models.
enum class Precision : unsigned char { f32, bf16, f16 };

/// Averages of the weights over training, which are what is evaluated and what is left in the end.
struct AverageChoice {
  WeightAverageOptions rule{};
  std::uint64_t from_step = 1;  ///< the first step whose weights count
};

/// What is looked at during training, and what follows from it.
struct ValidationOptions {
  std::uint64_t every = 1;  ///< epochs, or steps; 0: only at the end
  bool every_is_steps = false;
  bool keep_best = false;      ///< the weights of the least validation loss are the result
  std::uint64_t patience = 0;  ///< evaluations without a lesser loss before training ends; 0: it does not
};

/// What `trireme train` was asked for, checked.
struct TrainOptions {
  std::string model = "mlp";                  ///< or cnn, resnet, gpt, linear, logistic
  std::vector<std::size_t> hidden{512, 512};  ///< units of each hidden layer of mlp
  bool sync_batch_norm = false;               ///< over the samples of all ranks; of resnet
  double dropout = 0.0;                       ///< probability; of mlp and gpt
  GptChoice gpt{};
  LossKind loss = LossKind::cross_entropy;  ///< of models of rows
  DataOptions data{};
  std::optional<std::string> data_dir;  ///< unset: where the data set's package puts it
  std::uint64_t epochs = 10;
  std::uint64_t steps = 0;                         ///< optimizer steps in all; 0: as many as the epochs have
  std::size_t batch_size = 256;                    ///< samples per step over all ranks
  std::optional<std::size_t> batch_size_per_rank;  ///< replaces batch_size: it times the number of ranks (of replicas)
  std::uint64_t seed = 1;                          ///< of the initial weights and of the order of the samples
  int logical_shards = 0;                          ///< leaves of a batch; 0: one per rank
  int accumulate = 0;                              ///< passes per rank and step; 0: as logical_shards says
  OptimizerChoice optimizer{};
  Schedule schedule{};                           ///< total_steps is the trainer's to fill in
  std::uint64_t warmup_if_long = 0;              ///< a warm-up that nobody asked for: at most half of a run
  BatchScaling lr_scaling = BatchScaling::none;  ///< of the learning rate, from lr_base_batch to the batch
  std::size_t lr_base_batch = 256;
  double clip_norm = 0.0;                ///< 0: no clipping
  double clip_value = 0.0;               ///< of each element; 0: no clipping
  int zero = 0;                          ///< stage of ZeRO
  int shard_group = 0;                   ///< ranks that share; 0: all
  std::optional<std::string> offload{};  ///< folder for the optimizer's state; unset: in memory
  std::optional<ModelMesh> mesh{};       ///< unset: every rank has the whole model
  Bytes bucket_bytes{std::uint64_t{25} << 20};
  bool overlap = true;
  ReductionOrder order = ReductionOrder::canonical;
  Precision precision = Precision::f32;
  ComputeDevice device = ComputeDevice::cpu;
  bool device_given = false;  ///< by a flag
  std::optional<AverageChoice> average{};
  ValidationOptions validation{};
  SyncChoice sync{};
  CheckpointChoice checkpoints{};
  TrackingChoice tracking{};
  testing::StragglingOptions straggling{};  ///< of a laboratory
  std::uint64_t log_every = 0;              ///< steps; 0: never
  bool logs_json = false;                   ///< lines of output are JSON objects
  std::optional<std::string> model_dir{};   ///< folder for the trained model; unset: none
  std::optional<std::string> trace{};       ///< file for a trace of the steps; unset: none
  std::string from_platform{};              ///< "--model-dir /opt/ml/model, …": what nobody typed; empty: nothing

  /// `replicas`: of the model, among which a batch is shared out; the ranks, without a mesh.
  std::size_t global_batch(int replicas) const {
    return batch_size_per_rank ? *batch_size_per_rank * static_cast<std::size_t>(replicas) : batch_size;
  }
};

/// What was typed, and where nothing was, what the platform says: `cluster`'s hyperparameters, folders and input channels. `root` is
/// put before the mount that gs:// means. Nothing when --help or --describe was asked for and printed.
/// Errors: invalid_argument in one line naming the flag, or the hyperparameter.
std::optional<TrainOptions> parse_train_options(const std::vector<std::string>& arguments,
                                                const platform::ClusterSpec& cluster = {},
                                                const std::string& root = {});

/// What --describe json prints (cli/description).
std::string describe_train();

/// Whether all that is wanted is a text about the flags, which needs no platform.
bool asks_for_no_training(const std::vector<std::string>& arguments);

/// Whether lines of output are to be JSON, as far as these words say so before they are checked.
bool asks_for_json_log(const std::vector<std::string>& arguments);

/// "512,256" as numbers; the empty text is no hidden layer.
/// Errors: invalid_argument.
std::vector<std::size_t> parse_hidden(std::string_view text);

}  // namespace trireme::cli
