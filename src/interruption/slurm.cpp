// SPDX-License-Identifier: Apache-2.0
#include "interruption/slurm.hpp"

#include <algorithm>

namespace trireme::interruption {
namespace {

constexpr std::chrono::minutes announced_before(5);

}  // namespace

SlurmEnd::SlurmEnd(std::int64_t end, const Moment& moment)
    : end_(std::chrono::seconds(end)), has_passed_(ahead(moment) <= std::chrono::seconds(0)) {}

std::chrono::seconds SlurmEnd::ahead(const Moment& moment) const {
  return end_ - std::chrono::floor<std::chrono::seconds>(moment.wall);
}

Reply SlurmEnd::ask(http::Client&, const Moment& moment) {
  if (has_passed_) return {.is_here = false};
  const std::chrono::seconds left = ahead(moment);
  if (left > announced_before) return {};
  return {.announcement =
              Announcement{"end of the job's time", moment.steady + std::max(left, std::chrono::seconds(0))}};
}

/// The clock may be set meanwhile.
std::chrono::milliseconds SlurmEnd::pause(const Moment& moment) const {
  return std::clamp<std::chrono::seconds>(ahead(moment) - announced_before, std::chrono::seconds(1),
                                          std::chrono::seconds(30));
}

}  // namespace trireme::interruption
