// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/handshake.hpp"
#include "trireme/net/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sys/uio.h>

namespace trireme::net {

/// TLS 1.3 over one connection: both ends know the session's secret, so neither shows a certificate (an external pre-shared key,
/// with an ephemeral exchange: who learns the job key later reads nothing of what was sent).
/// Threads: one at a time.
class Tls {
 public:
  enum class Side : unsigned char { client, server };
  /// Begins, and waits for the other end to do the same. Errors: timeout, closed, peer_lost as receive_all; corrupt when the other
  /// end does not hold the secret, or something else comes.
  Tls(const Socket& socket, Side side, const SessionSecret& secret, Deadline deadline,
      std::uint64_t records_per_key = most_records_per_key);
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  /// What came of one attempt. Nothing moved: `is_over`, with an errno (0: closed in order), or not now.
  struct Moved {
    std::size_t bytes = 0;
    bool is_over = false;
    int error = 0;
  };
  Moved receive(std::span<std::byte> to);
  /// Pieces, one after the other. Bytes that were not taken must be given again, all of them and before others.
  Moved send(std::span<const iovec> from);
  /// Keys that this end has sent under so far.
  std::uint64_t keys_used() const { return keys_used_; }

  /// At most 64 GiB. AES-GCM keeps its promises for 2^24.5 records of a key (RFC 8446, 5.5); OpenSSL takes no other key by itself.
  static constexpr std::uint64_t most_records_per_key = std::uint64_t{1} << 22;

 private:
  struct Parts;
  Moved failed(int result);
  bool take_another_key();
  std::unique_ptr<Parts> parts_;
  std::vector<std::byte> begun_;  ///< a record that the socket had no room for
  bool is_begun_ = false;
  const std::uint64_t records_per_key_;
  std::uint64_t records_ = 0;  ///< under this key
  std::uint64_t keys_used_ = 1;
};

}  // namespace trireme::net
