// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/sagemaker_files.hpp"

#include <map>
#include <string>

namespace trireme::platform {

/// TRIREME_GROUP_ROLES="gpu=worker,cpu=evaluator": what instance groups are there for; groups not named are workers.
/// Errors: invalid_argument naming the variable for another form, an unknown role, or a group there is not.
std::map<std::string, Role> group_roles(const Environment& environment, const ResourceConfig& config);

/// Errors: invalid_argument "NAME=TEXT: expected worker, server or evaluator".
Role parse_role(const std::string& text, const std::string& name);

}  // namespace trireme::platform
