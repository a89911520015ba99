// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::bench {

/// Binds the threads that this process has now, the calling one being the one that computes. By `cores`:
/// - "free":  nothing is bound;
/// - "own":   all on core `rank` modulo their number: a rank has no core to spare (hosts emulated on one machine included);
/// - "spare": the calling thread on core 0, as in every other rank, all the others on core 1: a core is spare.
/// Errors: system.
void place_threads(const std::string& cores, int rank);

}  // namespace trireme::bench
