// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/schedule.hpp"
#include "trireme/pipeline/stage.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace trireme::pipeline {

/// What passes from a stage to the next for one micro-batch, and comes back as its gradient.
struct Boundary {
  std::size_t count = 0;
  DType dtype = DType::f32;
  friend bool operator==(const Boundary&, const Boundary&) = default;
};

struct RuntimeOptions {
  std::vector<Boundary> boundaries{};  ///< between stage b and b+1: stages - 1 of them, the same on all ranks
  /// Of a message, which may wait for all that other ranks compute before it; unset: the world's.
  std::optional<std::chrono::milliseconds> deadline{};
  std::optional<int> peak_limit{};  ///< as CheckOptions::peak_limit
};

/// Runs a schedule's step over the ranks of a communicator, again and again.
///
/// Receives are posted one action ahead and sends are not waited for before their buffer is needed again, so messages travel
/// while the ranks compute. All memory is had at construction: per stage, inputs for as many micro-batches as are live and
/// one ahead, as many outputs, gradients likewise, and two gradients on their way. Host memory.
/// Threads: one. Errors of messages name stage and micro-batch in their label, and the rank at fault.
class Runtime {
 public:
  /// `stages`: those of this rank, ascending; they outlive the runtime. Collective over `communicator`.
  /// Errors: on all ranks alike, before any of the schedule's bytes move: invalid_argument (check(), numbers of ranks, stages
  ///         or boundaries), unsupported (a schedule that splits backward over a stage that cannot), mismatch (ranks with
  ///         different schedules or boundaries).
  Runtime(const Communicator& communicator, Schedule schedule, std::span<Stage* const> stages,
          const RuntimeOptions& options);
  Runtime(Runtime&&) noexcept;
  Runtime& operator=(Runtime&&) noexcept;
  ~Runtime();

  /// One step: every action of this rank. Returns when they are done and what it sent is on its way out of its buffers.
  /// Errors: of messages, as Communicator; what a stage throws, after the world has been aborted with it (Communicator::abort),
  ///         since the others would wait for this rank until their deadline: they fail with its code and message, and with
  ///         the action in which it failed.
  void run();

  const ScheduleFacts& facts() const;
  /// Micro-batches whose activations `stage` holds at once, at most.
  int slots(int stage) const;
  /// Memory for what passes between stages, on this rank.
  Bytes buffer_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::pipeline
