// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/pattern.hpp"
#include "cli/perf/socket_ring.hpp"
#include "cli/perf/zero_copy.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What a result is held against, measured in the same run between the same processes.
enum class BoundKind : unsigned char {
  none,         ///< one rank, or nothing that means anything
  zero_copy,    ///< shared memory: the same operation on memory that all ranks map
  sockets,      ///< TCP on one host: every rank at once sends as many bytes over a plain socket and receives as many
  exchange,     ///< TCP between hosts: the same by the library's own send and recv
  device_copy,  ///< device memory: a copy within it
};

/// What is measured, in words.
std::string_view describe(BoundKind kind);

/// The yardstick of one world and one operation. Collective throughout.
class Bound {
 public:
  /// `by_network`: whether the own rank reaches any other by TCP. `one_host`: whether all ranks are on this host.
  /// `largest`: bytes of the largest row.
  Bound(const Communicator& communicator, const ZeroCopy::Setting& setting, std::size_t largest, bool by_network,
        bool one_host);

  BoundKind kind() const { return kind_; }
  /// Seconds, the median over `iterations` of the slowest rank's; nothing where there is no yardstick.
  /// Shape: `count` elements per block.
  /// Errors: corrupt when the yardstick itself has computed something else.
  std::optional<double> measure(const PerfPattern& pattern, std::size_t count, std::uint64_t iterations);

 private:
  std::vector<double> time_zero_copy(const PerfPattern& pattern, std::size_t count, std::uint64_t iterations);
  std::vector<double> time_exchange(std::size_t count, std::uint64_t iterations);
  void exchange(std::size_t size);

  Communicator communicator_;
  ZeroCopy::Setting setting_;
  BoundKind kind_;
  std::optional<ZeroCopy> zero_copy_;
  std::optional<SocketRing> sockets_;
  std::vector<std::byte> from_, to_;  // of an exchange
};

}  // namespace trireme::cli
