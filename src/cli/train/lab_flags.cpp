// SPDX-License-Identifier: Apache-2.0
#include "cli/train/lab_flags.hpp"

#include "trireme/base/error.hpp"

#include <chrono>
#include <cmath>

namespace trireme::cli {

LabFlags::LabFlags(Arguments& flags) {
  flags.option("--lab-computation-ms", computation_ms_,
               "laboratory: every step sleeps so long before it computes, as if it computed longer (default 0)",
               {.least = 0, .most = 60'000});
  flags.option(
      "--lab-stragglers", stragglers_,
      "laboratory, with --lab-computation-ms: which steps sleep five times as long, a function of --seed, worker and step; one:P, in a "
      "share P of the steps one worker, drawn anew; each:P, each worker in a share P of its own; worker:W, one in all; with :FACTOR "
      "behind it another one than 5; none (default)");
}

testing::StragglingOptions LabFlags::checked(std::uint64_t seed) const {
  const testing::StragglingOptions usual{.computation = std::chrono::microseconds(std::llround(computation_ms_ * 1000)),
                                         .seed = seed};
  try {
    const auto options = testing::parse_stragglers(stragglers_, usual);
    if (options.who == testing::Stragglers::none || usual.computation.count() != 0) return options;
  } catch (const Exception& refusal) {
    fail(ErrorCode::invalid_argument, "--lab-stragglers: " + refusal.error().message);
  }
  fail(ErrorCode::invalid_argument, "--lab-stragglers needs --lab-computation-ms: of what is a slow step a multiple?");
}

testing::Straggling straggling_among(const testing::StragglingOptions& options, std::uint32_t workers) {
  try {
    return {options, workers};
  } catch (const Exception& refusal) {
    fail(ErrorCode::invalid_argument, "--lab-stragglers: " + refusal.error().message);
  }
}

}  // namespace trireme::cli
