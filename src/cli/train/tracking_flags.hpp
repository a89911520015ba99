// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"

#include <optional>
#include <string>

namespace trireme::cli {

/// Where the course of training is reported beside stdout, and what a tuning job goes by.
struct TrackingChoice {
  bool enabled = true;
  std::optional<std::string> tensorboard_dir{};  ///< unset: the platform's, if it names one
  std::optional<std::string> objective{};        ///< unset: the validation accuracy, or loss of what has none
};

/// The flags of TrackingChoice.
class TrackingFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit TrackingFlags(Arguments& flags);
  /// Errors: invalid_argument naming the flag.
  TrackingChoice checked(const Arguments& flags) const;

 private:
  bool no_tracking_ = false;
  std::string tensorboard_dir_, objective_;
};

}  // namespace trireme::cli
