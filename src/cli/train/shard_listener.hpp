// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/progress.hpp"
#include "cli/train/tasks/task.hpp"
#include "cli/train/weights.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <cstdint>
#include <span>

namespace trireme::cli {

/// Hands what a pass tells on to the step, and notes when it was told where that is asked for.
class ShardListener final : public PassListener {
 public:
  using Clock = Progress::Clock;

  ShardListener(Shard& shard, Weights& weights, bool is_timed)
      : shard_(shard), weights_(weights), is_timed_(is_timed), began_(now()), forward_ended_(began_) {}

  void forward_done() override { forward_ended_ = now(); }
  void ready(std::size_t parameter) override {
    weights_.gradient_ready(parameter);
    shard_.ready(parameter);
  }
  void ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) override {
    weights_.gradient_ready(parameter, rows);
    shard_.ready_rows(parameter, rows);
  }

  Clock::time_point now() const { return is_timed_ ? Clock::now() : Clock::time_point{}; }
  Clock::time_point began() const { return began_; }
  Clock::time_point forward_ended() const { return forward_ended_; }

 private:
  Shard& shard_;
  Weights& weights_;
  bool is_timed_;
  Clock::time_point began_;
  Clock::time_point forward_ended_;
};

}  // namespace trireme::cli
