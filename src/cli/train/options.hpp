// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/optimizers.hpp"
#include "trireme/base/bytes.hpp"
#include "trireme/base/op.hpp"
#include "trireme/optim/schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What `trireme train` was asked for, checked.
struct TrainOptions {
  std::string model = "mlp";                  ///< or cnn, resnet
  std::vector<std::size_t> hidden{512, 512};  ///< units of each hidden layer of mlp
  bool sync_batch_norm = false;               ///< over the samples of all ranks; of resnet
  std::optional<std::string> data_dir;        ///< unset: where the data set's package puts it
  std::uint64_t epochs = 10;
  std::uint64_t steps = 0;                         ///< optimizer steps in all; 0: as many as the epochs have
  std::size_t batch_size = 256;                    ///< samples per step over all ranks
  std::optional<std::size_t> batch_size_per_rank;  ///< replaces batch_size: it times the number of ranks
  std::uint64_t seed = 1;                          ///< of the initial weights and of the order of the samples
  int logical_shards = 0;                          ///< leaves of a batch; 0: one per rank
  int accumulate = 0;                              ///< passes per rank and step; 0: as logical_shards says
  OptimizerChoice optimizer{};
  Schedule schedule{};                           ///< total_steps is the trainer's to fill in
  BatchScaling lr_scaling = BatchScaling::none;  ///< of the learning rate, from lr_base_batch to the batch
  std::size_t lr_base_batch = 256;
  double clip_norm = 0.0;   ///< 0: no clipping
  double clip_value = 0.0;  ///< of each element; 0: no clipping
  Bytes bucket_bytes{std::uint64_t{25} << 20};
  bool overlap = true;
  ReductionOrder order = ReductionOrder::canonical;
  std::uint64_t eval_every = 1;        ///< epochs; 0: only at the end
  std::uint64_t log_every = 0;         ///< steps; 0: never
  std::optional<std::string> trace{};  ///< file for a trace of the steps; unset: none

  std::size_t global_batch(int ranks) const {
    return batch_size_per_rank ? *batch_size_per_rank * static_cast<std::size_t>(ranks) : batch_size;
  }
};

/// Nothing when --help was asked for and printed.
/// Errors: invalid_argument in one line naming the flag.
std::optional<TrainOptions> parse_train_options(const std::vector<std::string>& arguments);

/// "512,256" as numbers; the empty text is no hidden layer.
/// Errors: invalid_argument.
std::vector<std::size_t> parse_hidden(std::string_view text);

}  // namespace trireme::cli
