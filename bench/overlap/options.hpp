// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace trireme::bench {

/// What overlap_bench measures. Equal on all ranks.
struct OverlapOptions {
  std::size_t min_bytes = std::size_t{64} << 10;
  std::size_t max_bytes = std::size_t{16} << 20;
  std::size_t factor = 4;
  std::size_t rounds = 21;
  std::size_t slices = 64;        ///< of the computation; between two of them progress() is called
  double ratio = 1.5;             ///< computation over communication, alone
  std::string cores = "free";     ///< free, own or spare: see place_threads
  std::string progress = "auto";  ///< progress thread: auto (the library's choice), on or off
};

/// Nothing when the help was asked for and shown.
/// Errors: invalid_argument naming the flag.
std::optional<OverlapOptions> parse_overlap_options(int argc, char** argv);

}  // namespace trireme::bench
