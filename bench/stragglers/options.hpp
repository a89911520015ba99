// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/ps/consistency.hpp"
#include "trireme/world/straggling.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::bench {

/// One way to bring gradients together.
struct Way {
  std::string name;  ///< "bsp", "ssp:3", "async", "async-aware"
  ps::Consistency consistency{};
  bool staleness_aware = false;
  bool is_together() const { return consistency.kind == ps::ConsistencyKind::bulk_synchronous; }
};

/// What stragglers_bench measures.
struct StragglersOptions {
  std::vector<Way> ways;
  std::vector<testing::StragglingOptions> stragglers;
  std::uint32_t workers = 8;
  std::uint32_t servers = 2;
  bool tcp = false;           ///< servers with threads and sockets; else in the workers' own threads
  double seconds = 20;        ///< of each run; 0: until `samples`
  std::uint64_t samples = 0;  ///< by which the values are looked at too; 0: none
  std::size_t batch = 32;     ///< of a worker
  std::vector<std::size_t> hidden{128};
  double learning_rate = 0.1;  ///< of the batches of all workers together
  bool decays = false;         ///< the rate falls to a tenth by the last of `samples`
  double momentum = 0.0;
  std::uint64_t seed = 1;
  std::string data_dir;  ///< empty: where Debian's package puts the files
  std::string json;
  double least_accuracy = 0.0;  ///< exit code 3 below it
};

/// Nothing when the help was asked for and shown.
/// Errors: invalid_argument naming the flag.
std::optional<StragglersOptions> parse_stragglers_options(int argc, char** argv);

}  // namespace trireme::bench
