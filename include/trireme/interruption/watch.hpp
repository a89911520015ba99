// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/platform/environment.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::interruption {

/// The announcement that this host will be taken away.
struct Notice {
  std::string source;                              ///< "EC2 spot action", "Compute Engine preemption", …
  std::chrono::steady_clock::time_point deadline;  ///< when it is gone, as far as that is known
};

/// Asks the services that announce interruptions, on one thread of its own, once a second and source.
/// A source whose address does not answer within 200 ms, or answers nonsense, when it is first asked is left alone from then on: an
/// isolated network costs no start-up time, since all of it happens beside the job.
class Watch {
 public:
  virtual ~Watch() = default;
  /// The nearest notice that stands. A notice that was withdrawn stands no longer.
  virtual std::optional<Notice> current() const = 0;
};

}  // namespace trireme::interruption
