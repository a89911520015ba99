// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/perf/socket_ring.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace trireme::cli {

/// What a result is held against, measured in the same run on the same memory: a yardstick, not a limit.
enum class BoundKind : unsigned char {
  none,      ///< one rank: nothing has to move
  copy,      ///< shared memory: every rank at once copies a vector of that size
  sockets,   ///< TCP on one host: every rank at once sends such a vector over a plain socket and receives one
  exchange,  ///< TCP between hosts: the same by the library's own send and recv
};

/// What is measured, in words.
std::string_view describe(BoundKind kind);

/// The yardstick of one world. Collective throughout.
class Bound {
 public:
  /// `by_network`: whether the own rank reaches any other by TCP. `one_host`: whether all ranks are on this host.
  Bound(const Communicator& communicator, bool by_network, bool one_host);

  BoundKind kind() const { return kind_; }
  /// Seconds, the median over `iterations` of the slowest rank's.
  double measure(std::span<std::byte> from, std::span<std::byte> to, std::uint64_t iterations);

 private:
  void move(std::span<std::byte> from, std::span<std::byte> to);

  Communicator communicator_;
  BoundKind kind_;
  std::optional<SocketRing> sockets_;
};

}  // namespace trireme::cli
