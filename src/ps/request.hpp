// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::ps {

/// One thing a worker wants of a server, from the call that asked for it until it is done; sent again when a connection is lost.
struct Request {
  enum class Kind : unsigned char { initialise, push, update, pull, read_state };
  Kind kind = Kind::pull;
  std::uint64_t id = 0;      ///< ascending in the order of calls; never 0
  std::uint64_t number = 0;  ///< its sequence, given when it is first sent, or its request number; 0: not sent yet
  Key key = 0;
  std::uint32_t tensor = 0;
  std::uint32_t priority = 0;
  std::uint64_t step = 0;
  Control control{};
  std::vector<std::span<const std::byte>> payload{};  ///< the caller's memory
  std::uint64_t payload_bytes = 0;
  std::span<std::byte> destination{};  ///< the caller's memory: of a pull
  bool wants_sum = false;              ///< a bulk-synchronous push: is done when the sum has come, too

  // Of the background thread.
  std::uint32_t group = 0;  ///< the server whose key it is
  bool sent = false;        ///< on the connection that there is now
  bool offered = false, granted = false;
  bool acknowledged = false, summed = false;
  bool on_wire = false;  ///< its memory is being sent

  bool is_sequenced() const { return kind == Kind::initialise || kind == Kind::push || kind == Kind::update; }
  bool is_done() const { return !on_wire && acknowledged && (!wants_sum || summed); }
};

}  // namespace trireme::ps
