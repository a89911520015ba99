// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/rendezvous/join.hpp"

#include <chrono>

namespace trireme::rendezvous {

/// join() with the time between two reminders of who is missing.
std::vector<std::string> join_reminding(Store& store, std::uint64_t epoch, int rank, int world_size,
                                        const std::string& card, Deadline deadline, const Log& log,
                                        std::chrono::milliseconds reminder, const Naming& naming = {});

}  // namespace trireme::rendezvous
