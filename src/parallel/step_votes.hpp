// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/step_trace.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/parallel/step_outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace trireme::parallel {

/// What the ranks tell each other at the end of a step, i32: how often each parameter was ready, whether to stop or to save,
/// and whether buckets are to be filled in another order.
/// Threads: one at a time.
class StepVotes {
 public:
  StepVotes(const Communicator& communicator, std::size_t parameters)
      : parameters_(parameters), counts_(communicator.memory().allocate<std::int32_t>(parameters + votes)) {}

  void begin_step();
  /// The parameter was ready on a leaf of a weight above 0.
  void count(std::size_t parameter) { ++counts()[parameter]; }
  void request_stop() { stop_requested_ = true; }
  void request_checkpoint() { checkpoint_requested_ = true; }
  void take_requests(const StepVotes& before) {
    stop_requested_ |= before.stop_requested_;
    checkpoint_requested_ |= before.checkpoint_requested_;
  }

  /// About other buckets.
  struct Buckets {
    bool wanted = false;
    bool opposed = false;
  };
  /// Collective.
  void start(Communicator& communicator, const CallOptions& options, Buckets buckets, StepTrace::Moment now);
  void wait(const StepTrace& trace);

  /// After wait(). A request to stop or to save is spent then.
  bool used(std::size_t parameter) const { return counts()[parameter] != 0; }
  bool other_buckets() const { return other_buckets_; }
  bool checkpoint_requested() const { return checkpoint_heard_; }
  StepOutcome outcome() const { return outcome_; }

 private:
  /// Behind the counts of the parameters.
  enum Vote : std::size_t { to_stop_or_save, for_other_buckets, against_other_buckets, votes };
  std::span<std::int32_t> counts() const { return counts_.as<std::int32_t>().first(parameters_ + votes); }
  std::int32_t& vote(Vote which) const { return counts()[parameters_ + which]; }

  std::size_t parameters_;
  ArenaBuffer counts_;
  Work work_;
  StepTrace::Moment began_{};
  bool stop_requested_ = false;
  bool checkpoint_requested_ = false;
  bool checkpoint_heard_ = false;
  bool other_buckets_ = false;
  StepOutcome outcome_ = StepOutcome::ready;
};

}  // namespace trireme::parallel
