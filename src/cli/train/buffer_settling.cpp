// SPDX-License-Identifier: Apache-2.0
#include "cli/train/buffer_settling.hpp"

namespace trireme::cli {

void BufferSettling::add(std::size_t leaf, std::size_t samples) {
  if (!nothing()) statistics_.add(static_cast<int>(leaf), samples, model_.statistics());
}

void BufferSettling::settle(Communicator& communicator, CallOptions options) {
  if (nothing()) return;
  options.label = "buffers";
  communicator.all_reduce(statistics_.sums(), sum, options);
  if (const auto means = statistics_.means(); !means.empty()) model_.settle_buffers(means);
}

}  // namespace trireme::cli
