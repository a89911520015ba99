// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"
#include "trireme/rendezvous/store.hpp"

#include <string>
#include <vector>

namespace trireme::rendezvous {

/// What messages call the members that join, and by which names they are known beforehand.
struct Naming {
  std::string one = "rank", many = "ranks";
  std::vector<std::string> names{};  ///< by number; missing or empty: unknown
};

/// Publishes this rank's `card` (an opaque text: addresses, host identity) under the epoch and returns the cards of all
/// ranks in rank order. While waiting, logs every 30 s who is missing.
/// Errors: timeout listing the ranks still missing ("ranks 1, 3 of 4 have not joined within 900 s"), -1 < rank < world.
std::vector<std::string> join(Store& store, std::uint64_t epoch, int rank, int world_size, const std::string& card,
                              Deadline deadline, const Log& log = {}, const Naming& naming = {});

}  // namespace trireme::rendezvous
