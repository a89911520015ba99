// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/http/client.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace trireme::interruption {

/// One moment on both clocks.
struct Moment {
  std::chrono::steady_clock::time_point steady;
  std::chrono::system_clock::time_point wall;
  static Moment now() { return {std::chrono::steady_clock::now(), std::chrono::system_clock::now()}; }
};

struct Announcement {
  std::string what;
  std::chrono::steady_clock::time_point deadline;
};

/// What came of asking once.
struct Reply {
  bool is_here = true;  ///< false: this machine has no such service, and asking again is of no use
  std::optional<Announcement> announcement{};
};

/// Somebody who announces interruptions.
/// Threads: one at a time.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::string name() const = 0;
  /// Asks once, at `moment`.
  /// Errors: those of the client; corrupt for an answer that is none. What was announced before then stands.
  virtual Reply ask(http::Client& client, const Moment& moment) = 0;
  /// Until it is asked again.
  virtual std::chrono::milliseconds pause(const Moment&) const { return std::chrono::seconds(1); }
  /// Whether the metadata address is needed.
  virtual bool is_remote() const { return true; }
};

}  // namespace trireme::interruption
