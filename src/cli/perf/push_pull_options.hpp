// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// Which servers hold keys, where some ranks only serve.
enum class PushPullSplit : unsigned char {
  optimal,  ///< as ps::OptimalSplit says
  workers,  ///< those beside workers, equally: the parts of a direct reduce-scatter
  spare,    ///< those that only serve, equally
};

/// What `trireme perf push_pull` was asked for, checked.
struct PushPullOptions {
  Bytes min_bytes{4096};
  Bytes max_bytes{std::uint64_t{64} << 20};
  std::uint64_t factor = 4;
  std::optional<int> servers{};          ///< on the first so many ranks; unset: on all
  int spare = 0;                         ///< the last so many ranks are no workers: they only serve
  std::optional<PushPullSplit> split{};  ///< of keys over all ranks; unset: as `servers` says
  std::uint32_t loops = 1;               ///< event loops of each server
  std::uint32_t keys = 8;                ///< under way at once
  bool tcp = true;                       ///< TCP even on one host; else a local socket there
  bool tls = false;                      ///< workers and servers talk through TLS; the yardstick does not
  std::string congestion{};              ///< of TCP, as net::settle_congestion() takes it
  std::optional<std::uint64_t> iterations{};
  std::uint64_t warmup = 3;
  std::optional<std::string> json{};

  /// Bytes of a key for each row: whole f32 elements, at least one.
  std::vector<std::size_t> sizes() const;
  /// Timed iterations of `keys` keys of this size: about 1 GiB each way in all, between 8 and 200.
  std::uint64_t iterations_for(std::size_t bytes) const;
};

/// Nothing when --help was asked for and printed.
/// Errors: invalid_argument in one line naming the flag.
std::optional<PushPullOptions> parse_push_pull_options(const std::vector<std::string>& arguments);

}  // namespace trireme::cli
