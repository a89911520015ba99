// SPDX-License-Identifier: Apache-2.0
#include "cli/train/ordered_synchronizer.hpp"

#include "trireme/base/error.hpp"

#include <chrono>
#include <thread>

namespace trireme::cli {
namespace {

constexpr std::chrono::milliseconds values_look{10};

}  // namespace

void await_first_values(ServerDirectory& directory) {
  const Deadline deadline = Deadline::after(directory.join_timeout());
  while (!directory.is_declared(JobFact::servers_have_values)) {
    if (deadline.passed())
      fail(ErrorCode::timeout, "worker 0 has not given the parameter servers their first values by the join timeout");
    std::this_thread::sleep_for(values_look);
  }
}

parallel::SynchronizerParts OrderedSynchronizer::make(const parallel::SynchronizerSetup& setup) {
  if (!is_first_) await_first_values(*directory_);
  auto parts = inner_->make(setup);
  if (is_first_) directory_->declare(JobFact::servers_have_values);
  return parts;
}

}  // namespace trireme::cli
