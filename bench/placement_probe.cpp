// SPDX-License-Identifier: Apache-2.0
// How near are the machine's first two processors to each other at this moment? For comparisons that start other programs:
// virtual processors move, and what passes between them then takes up to four times as long. Exit code 0: near; 1: not.
#include "platform/placement.hpp"

#include <cstdio>

int main() {
  const auto placement = trireme::platform::probe_placement();
  if (!placement) {
    std::printf("placement processors=1\n");
    return 0;  // one processor alone is near itself
  }
  std::printf("placement handoff_ns=%.0f copy_slowdown=%.2f near=%d\n", placement->handoff_ns, placement->copy_slowdown,
              placement->is_near() ? 1 : 0);
  return placement->is_near() ? 0 : 1;
}
