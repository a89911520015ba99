// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace trireme::bench {

enum class BenchModel : unsigned char { mlp, cnn, gpt };

/// What train_step_bench measures. Equal on all ranks.
struct TrainStepOptions {
  BenchModel model = BenchModel::mlp;
  std::string data = "auto";       ///< fashion-mnist, synthetic, or auto: synthetic where the files are missing
  std::string data_dir;            ///< empty: where Debian's package puts the files
  std::size_t batch_per_rank = 0;  ///< parsed: never 0, but what is usual for the model
  std::size_t warm_up = 20;        ///< steps before the first timed one
  std::size_t blocks = 10;
  std::size_t steps_per_block = 0;  ///< the same
  std::uint64_t seed = 1;
  int zero_stage = 0;  ///< 1: each rank keeps and applies the updates of its part of the parameters; the same weights
  bool alone = false;  ///< the ranks train side by side without communicating: what the cores could do
  std::string write_start;  ///< file for the weights before the first step; nothing is trained then
  bool breakdown = false;   ///< also prints where the time of a step goes
};

/// Nothing when the help was asked for and shown.
/// Errors: invalid_argument naming the flag.
std::optional<TrainStepOptions> parse_train_step_options(int argc, char** argv);

}  // namespace trireme::bench
