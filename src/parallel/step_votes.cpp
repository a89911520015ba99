// SPDX-License-Identifier: Apache-2.0
#include "parallel/step_votes.hpp"

#include <algorithm>

namespace trireme::parallel {
namespace {

/// The two that programs cast share a word: ranks that want to stop count in its upper half, those that want a checkpoint in
/// the lower one.
constexpr std::int32_t one_to_save = 1, one_to_stop = 1 << 16;

}  // namespace

void StepVotes::begin_step() { std::fill(counts().begin(), counts().end(), 0); }

void StepVotes::start(Communicator& communicator, const CallOptions& options, Buckets buckets, StepTrace::Moment now) {
  vote(to_stop_or_save) = (stop_requested_ ? one_to_stop : 0) + (checkpoint_requested_ ? one_to_save : 0);
  vote(for_other_buckets) = buckets.wanted ? 1 : 0;
  vote(against_other_buckets) = buckets.opposed ? 1 : 0;
  began_ = now;
  work_ = communicator.all_reduce_async(counts(), sum, options);
}

void StepVotes::wait(const StepTrace& trace) {
  {
    const auto span = trace.waits_for_counts();
    work_.wait();
  }
  trace.counts_reduced(began_);
  other_buckets_ = vote(for_other_buckets) != 0 && vote(against_other_buckets) == 0;
  const auto heard = static_cast<std::uint32_t>(vote(to_stop_or_save));  // 32768 ranks may all want to stop
  checkpoint_heard_ = heard % one_to_stop != 0;
  checkpoint_requested_ = false;
  outcome_ = heard < one_to_stop ? StepOutcome::ready : StepOutcome::stop;
  if (outcome_ == StepOutcome::stop) stop_requested_ = false;  // heard by all: a later loop is a new one
}

}  // namespace trireme::parallel
