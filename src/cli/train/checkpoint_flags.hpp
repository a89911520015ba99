// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace trireme::cli {

/// So many steps, or so long, whichever was given; neither: never.
struct Interval {
  std::uint64_t steps = 0;
  std::chrono::seconds time{0};
  bool is_never() const { return steps == 0 && time.count() == 0; }
};

/// Where training is kept, how often, and when it ends before its time.
struct CheckpointChoice {
  std::optional<std::string> folder{};  ///< unset: nowhere
  Interval every{.steps = 0, .time = std::chrono::minutes(10)};
  std::uint64_t keep_last = 2;
  std::uint64_t keep_every = 0;  ///< steps whose multiples stay; 0: none
  Interval stop_after{};         ///< of this start
  std::optional<int> interrupted_exit_code{};
  std::chrono::seconds evaluator_patience = std::chrono::hours(24);  ///< without a new checkpoint; 0: for ever
  int restart_count = 0;  ///< how often the platform has started this job again, where it says
};

/// The flags of CheckpointChoice.
class CheckpointFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit CheckpointFlags(Arguments& flags);
  /// `standard`: the folder where --checkpoint-dir is not given.
  /// Errors: invalid_argument naming the flag.
  CheckpointChoice checked(const Arguments& flags, const std::optional<std::string>& standard = {}) const;

 private:
  std::string folder_, every_ = "10min", stop_after_ = "0", evaluator_patience_ = "24h";
  std::uint64_t keep_last_ = 2, keep_every_ = 0;
  int interrupted_exit_code_ = 143;
};

/// "500" and "500steps" are steps; "90s", "10min" and "2h" times; "0" is never.
/// Errors: invalid_argument naming the flag.
Interval parse_interval(const std::string& flag, const std::string& text);

}  // namespace trireme::cli
