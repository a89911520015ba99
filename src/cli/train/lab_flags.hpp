// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"
#include "trireme/world/straggling.hpp"

#include <cstdint>
#include <string>

namespace trireme::cli {

/// The flags of the laboratory: steps that take longer than they must.
class LabFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit LabFlags(Arguments& flags);
  /// Errors: invalid_argument naming the flag.
  testing::StragglingOptions checked(std::uint64_t seed) const;

 private:
  double computation_ms_ = 0;
  std::string stragglers_ = "none";
};

/// Errors: invalid_argument naming the flag: a worker that there is not.
testing::Straggling straggling_among(const testing::StragglingOptions& options, std::uint32_t workers);

}  // namespace trireme::cli
