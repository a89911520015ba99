// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace trireme::bench {

/// What zero_bench is asked for.
struct ZeroOptions {
  std::size_t layers = 40;
  std::size_t channels = 320;
  std::size_t vocabulary = 1000;
  std::vector<int> ranks{1, 2, 4, 8};
  std::string json{};  ///< file for the rows; empty: none
  bool check = false;
};

/// Nothing: --help was asked for, and printed.  Errors: invalid_argument.
std::optional<ZeroOptions> parse_zero_options(int argc, char** argv);

}  // namespace trireme::bench
