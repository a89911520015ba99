// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::transport {

enum class LinkState : std::uint8_t {
  open,
  closed,  ///< the peer has ended its stream in good order
  lost,    ///< the connection broke: reset, timed out, or the peer's process is gone
};

/// A reliable, ordered stream of bytes to and from one peer: all a transport has to provide. Framing, matching and
/// flow control stand above it, once for all transports, in Endpoint.
/// Threads: one at a time.  Errors: none are thrown; state() tells, and errno_value() why.
class Link {
 public:
  virtual ~Link() = default;

  /// Writes as much of `parts`, in order, as fits now; returns the bytes taken, 0 when full or no longer open.
  virtual std::size_t write(std::span<const std::span<const std::byte>> parts) noexcept = 0;
  /// Reads what is there now, at most `into`; 0 when nothing is there or the stream is at its end.
  virtual std::size_t read(std::span<std::byte> into) noexcept = 0;

  /// If the peer can read [data, data + bytes) in place (arena memory, mapped by both), sets the token it needs.
  virtual bool lend(const void* data, std::size_t bytes, std::uint64_t& token) const noexcept = 0;
  /// Whether it never lends: whatever is large goes through the stream.
  virtual bool streams_all() const noexcept { return false; }
  /// Where the peer's lent bytes are in this process; null when the token is not of this peer's arena.
  virtual std::byte* borrow(std::uint64_t token, std::size_t bytes) noexcept = 0;
  /// Ends the peer's sleep if it has armed its side; for what was written into memory both share, outside the stream.
  /// Order: none beyond the caller's own stores; a peer about to sleep may miss it and wakes by its own clock.
  virtual void nudge() noexcept = 0;

  /// A descriptor that becomes readable when something happened, for sleeping; -1 if only the doorbell tells.
  virtual int descriptor() const noexcept = 0;
  /// About to sleep: from now on the peer rings the doorbell when there is something to read (or, if `for_writing`,
  /// room to write). False if there already is: then do not sleep.
  virtual bool arm(bool for_writing) noexcept = 0;
  /// Awake again.
  virtual void disarm() noexcept = 0;
  /// Looks whether the peer is still there, where reading alone does not show it. Costs a system call.
  virtual void check() noexcept = 0;

  virtual LinkState state() const noexcept = 0;
  virtual int errno_value() const noexcept = 0;
  /// Further streams to the same peer, beside this one, given away once: each ordered by itself, not among each other.
  virtual std::vector<std::unique_ptr<Link>> take_lanes() { return {}; }
  /// Which way the stream takes, for messages: "10.0.0.1 (eth0), 4 flows"; empty where there is only one.
  virtual std::string route() const { return {}; }
  /// Ends the own stream in good order: the peer reads what was written, then finds the link closed.
  virtual void close() noexcept = 0;
};

}  // namespace trireme::transport
