// SPDX-License-Identifier: Apache-2.0
#include "net/backoff.hpp"

#include <algorithm>
#include <thread>

namespace trireme::net {

void Backoff::pause(Deadline deadline) {
  constexpr std::chrono::milliseconds longest{500};
  auto until = std::min<Deadline::Clock::time_point>(Deadline::Clock::now() + next_, deadline.moment());
  std::this_thread::sleep_until(until);
  next_ = std::min(2 * next_, longest);
}

}  // namespace trireme::net
