// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/world/world.hpp"

#include <string>

namespace trireme::cli {

/// What any rank finds wrong with `flag`, all refuse, with the lowest such rank's words, and its name unless all say the same. Collective;
/// `problem` is empty where there is none.
/// Errors: invalid_argument, alike on all ranks.
void refuse_on_all(World& world, const std::string& flag, const std::string& problem);

}  // namespace trireme::cli
