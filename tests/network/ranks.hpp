// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "network/lab.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace trireme::testing {

/// False, with the reason as a warning, where no lab can be made.
bool can_make_lab();

/// One rank of `program` per host, without a launcher: rank 0 serves on its host. `more` is added to the environment of
/// all.
std::vector<std::unique_ptr<Launched>> start_ranks(const Lab& lab, const std::string& program,
                                                   const std::vector<std::string>& arguments,
                                                   const std::map<std::string, std::string>& more = {});

}  // namespace trireme::testing
