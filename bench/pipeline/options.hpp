// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace trireme::bench {

/// What pipeline_bench measures. Equal on all ranks.
struct PipelineOptions {
  double unit_ms = 24;  ///< F, B and W of a rank's stages together, where costs are equal
  std::vector<int> micro_batches{4, 8, 16, 32};
  std::size_t rounds = 3;
  std::size_t message_bytes = std::size_t{64} << 10;
  int threads = 0;  ///< ranks as threads of this process; 0: the processes of the launcher
  std::string json;
  bool check = false;
};

/// Nothing when the help was asked for and shown.
/// Errors: invalid_argument naming the flag.
std::optional<PipelineOptions> parse_pipeline_options(int argc, char** argv);

}  // namespace trireme::bench
