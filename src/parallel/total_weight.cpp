// SPDX-License-Identifier: Apache-2.0
#include "parallel/total_weight.hpp"

namespace trireme::parallel {

TotalWeight::TotalWeight(const Communicator& communicator, int rounds)
    : rounds_(static_cast<std::size_t>(rounds)), sums_(communicator.memory().allocate<double>(rounds_)) {}

void TotalWeight::begin_step() {
  block_ = {};
  added_ = 0;
  started_ = known_ = false;
  value_ = 0.0;
}

void TotalWeight::add(double weight) {
  if (rounds_ == 1) {
    block_.add(weight);
  } else {
    sums_.as<double>()[added_++] = weight;
  }
}

void TotalWeight::start(Communicator& communicator, const CallOptions& options, StepTrace::Moment now) {
  const auto sums = sums_.as<double>().first(rounds_);
  if (rounds_ == 1) sums[0] = block_.result();
  began_ = now;
  started_ = true;
  work_ = communicator.all_reduce_async(sums, sum, options);
}

bool TotalWeight::known(bool wait, const StepTrace& trace) {
  if (known_) return true;
  if (!wait && !work_.done()) return false;
  work_.wait();
  known_ = true;
  trace.weights_reduced(began_);
  kernels::TreeSum total;
  for (const double each : sums_.as<double>().first(rounds_)) total.add(each);
  value_ = total.result();
  return true;
}

}  // namespace trireme::parallel
