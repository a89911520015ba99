// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/comm/communicator.hpp"

#include <functional>
#include <optional>

namespace trireme::checkpoint {

/// Throws on all ranks what the lowest rank that has an error has; nothing where none has. Collective.
void throw_together(Communicator& communicator, const std::optional<Error>& mine, const char* label);

/// Does something on this rank, and throws on all if it threw on any. Collective.
void do_together(Communicator& communicator, const char* label, const std::function<void()>& work);

}  // namespace trireme::checkpoint
