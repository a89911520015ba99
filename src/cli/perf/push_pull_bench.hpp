// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/push_pull_options.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/world/world.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace trireme::cli {

/// What one way of moving keys of one size took.
struct PushPullRow {
  std::size_t bytes = 0;  ///< of a key
  std::uint64_t iterations = 0;
  double p50_us = 0.0;  ///< of an iteration: all keys pushed and their means back, of the slowest rank
  double p99_us = 0.0;
  double keys_per_s = 0.0;  ///< of a worker
  double gbps = 0.0;        ///< GB/s, each way, of a worker
  std::uint64_t wrong = 0;  ///< elements, over all ranks
};

/// Which ranks serve, and how much of all keys each holds.
struct ServingRanks {
  std::vector<int> ranks{};
  std::vector<double> shares{};  ///< one each, above 0
};
ServingRanks serving_ranks(const PushPullOptions& options, int ranks);

/// One size: every rank is a worker but the last ones, where some only serve.
class PushPullBench {
 public:
  /// Collective. Shape: no more servers than ranks, at least one worker. Errors: as ps::Client::connect.
  PushPullBench(World& world, const PushPullOptions& options, std::size_t bytes);
  ~PushPullBench();

  struct Rows {
    PushPullRow ours, raw_tcp;
  };
  /// Collective: verifies, then times; in turn with the same bytes over plain sockets on loopback, by rank 0 alone.
  Rows measure();

 private:
  bool is_worker() const { return world_.rank() < static_cast<int>(workers_); }
  void run_once();
  std::uint64_t wrong() const;
  PushPullRow row_of(const std::vector<double>& mine, std::uint64_t iterations);

  World& world_;
  const PushPullOptions& options_;
  const std::size_t bytes_, count_;
  const std::uint32_t workers_;
  std::unique_ptr<ps::Server> server_;
  std::unique_ptr<ps::Client> client_;
  std::vector<float> gradients_, means_;  ///< of all keys, one after the other
  std::uint64_t step_ = 0;
};

}  // namespace trireme::cli
