// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace trireme::cli {

// What gpt trains well with where nothing else is said: a rate for the rule adamw, over few windows at a time.
constexpr std::size_t gpt_batch_size = 32;
constexpr double gpt_learning_rate = 2e-3;
constexpr double gpt_weight_decay = 0.1;
constexpr double gpt_final_factor = 0.05;
constexpr std::uint64_t gpt_warmup_steps = 20;

/// The flags as typed, before they are checked against each other.
struct Typed {
  std::string model = "mlp", hidden = "512,512", dataset = "fashion-mnist", data_dir, optimizer = "sgd",
              bucket_bytes = "25MiB", order = "canonical", offload, model_dir, trace, describe, log_format = "text",
              loss, precision = "f32", eval_every = "1", device = "cpu";
  std::uint64_t epochs = 10, steps = 0, batch_size = 256, batch_size_per_rank = 0, log_every = 0, seed = 1,
                patience = 0, swa_from = 0;
  double ema = 0;
  bool keep_best = false;
  std::string lr_schedule = "constant", lr_scaling = "none";
  std::uint64_t warmup_steps = 0, lr_interval = 1000, lr_base_batch = 256;
  double lr_final = 0, lr_power = 2, lr_decay = 0.1;
  int logical_shards = 0, accumulate = 0, zero = 0, shard_group = 0;
  double dropout = 0, learning_rate = 0, momentum = 0.9, weight_decay = 0, l2_penalty = 0, clip_norm = 0,
         clip_value = 0;
  bool nesterov = false, no_overlap = false, sync_batch_norm = false;
};

/// Describes them; `typed` must live until `flags` have been parsed.
void describe(Arguments& flags, Typed& typed);

}  // namespace trireme::cli
