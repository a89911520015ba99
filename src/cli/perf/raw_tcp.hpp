// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/socket.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace trireme::cli {

/// Plain TCP sockets over loopback that carry what a worker and a server say to each other and nothing else: a thread of this
/// process receives a key and, once it is whole, sends it back, while the next one arrives.
class RawTcp {
 public:
  /// Shape: every exchange() is of `keys` keys of `bytes` bytes. Errors: system.
  RawTcp(std::size_t keys, std::size_t bytes, const std::string& congestion);
  ~RawTcp();
  RawTcp(const RawTcp&) = delete;

  /// Sends all keys, and receives them. Shape: both are keys * bytes. Errors: timeout after a minute; closed.
  void exchange(std::span<const std::byte> from, std::span<std::byte> to);

 private:
  void echo() noexcept;

  std::size_t keys_, bytes_;
  net::Socket near_, far_;
  std::vector<std::byte> memory_;  ///< of the other thread
  std::thread thread_;
};

}  // namespace trireme::cli
