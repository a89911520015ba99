// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"

#include <chrono>

namespace trireme::net {

/// Pauses between attempts: 10 ms at first, doubling up to 500 ms, never past the deadline.
class Backoff {
 public:
  void pause(Deadline deadline);

 private:
  std::chrono::milliseconds next_{10};
};

}  // namespace trireme::net
