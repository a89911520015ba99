// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/norm/norm.hpp"
#include "parallel/step_trace.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>

namespace trireme::parallel {

/// The sum of all leaves' weights in f64, along the tree of the leaves. Leaves are in blocks, of which each rank adds up its
/// own before one number travels; or in rounds of one leaf per rank, of which each is summed over the ranks, then the rounds.
/// Threads: one at a time.
class TotalWeight {
 public:
  /// `rounds`: own leaves when they are dealt out in rounds; else 1.
  TotalWeight(const Communicator& communicator, int rounds);

  void begin_step();
  /// Of the next own leaf.
  void add(double weight);
  /// Behind the last add(). Collective; `options` say how many leaves the tree has.
  void start(Communicator& communicator, const CallOptions& options, StepTrace::Moment now);
  bool started() const { return started_; }
  /// Of own leaves, behind the last add(), where there are no rounds.
  double own() const { return block_.result(); }
  /// After start(): whether the sum is there; `wait`: it is.
  bool known(bool wait, const StepTrace& trace);
  /// Once it is known; 0 before.
  double value() const { return value_; }

 private:
  std::size_t rounds_;
  ArenaBuffer sums_;        ///< f64, one per round
  kernels::TreeSum block_;  ///< of own leaves, when there are no rounds
  std::size_t added_ = 0;
  Work work_;
  StepTrace::Moment began_{};
  bool started_ = false;
  bool known_ = false;
  double value_ = 0.0;
};

}  // namespace trireme::parallel
