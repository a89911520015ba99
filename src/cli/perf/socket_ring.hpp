// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/net/socket.hpp"

#include <cstddef>
#include <span>

namespace trireme::cli {

/// Plain TCP connections over loopback, from every rank to the next: what the ranks of one host can do without the
/// library.
class SocketRing {
 public:
  /// Collective, for ranks on one host. Errors: system, timeout.
  explicit SocketRing(Communicator& communicator);

  /// Sends `from` to the next rank while `to` arrives from the one before. Shape: of one size on all ranks.
  /// Errors: timeout, closed.
  void exchange(std::span<const std::byte> from, std::span<std::byte> to);

 private:
  net::Socket next_;
  net::Socket previous_;
};

}  // namespace trireme::cli
