// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/held_out.hpp"

#include "trireme/base/error.hpp"

#include <cmath>
#include <string>

namespace trireme::cli {

double wanted_held_out(const DataOptions& options, std::size_t samples) {
  constexpr double tenth = 0.1;
  return options.held_out.value_or(options.test || samples < 10 ? 0.0 : tenth);
}

std::size_t held_out_of(std::size_t samples, double share) {
  const auto count = static_cast<std::size_t>(std::floor(share * static_cast<double>(samples)));
  if (share > 0 && (count == 0 || count >= samples)) {
    fail(ErrorCode::invalid_argument, "--held-out: of " + std::to_string(samples) + " samples that is " +
                                          std::to_string(count) + ": both parts must have some");
  }
  return count;
}

}  // namespace trireme::cli
