// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <string>

namespace trireme::pipeline {

/// Inside a handler: the world of `communicator` ends with what was caught, and with it what other ranks wait for. `where`: "pipeline
/// action 1F3", which the others are told has failed.
void abort_with_caught(Communicator communicator, const std::string& where) noexcept;

}  // namespace trireme::pipeline
