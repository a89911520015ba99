// SPDX-License-Identifier: Apache-2.0
#include "platform/group_roles.hpp"

#include "platform/host_port.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::platform {

Role parse_role(const std::string& text, const std::string& name) {
  for (const Role role : {Role::worker, Role::server, Role::evaluator}) {
    if (text == name_of(role)) return role;
  }
  fail(ErrorCode::invalid_argument, name + "=" + text + ": expected worker, server or evaluator");
}

std::map<std::string, Role> group_roles(const Environment& environment, const ResourceConfig& config) {
  std::map<std::string, Role> roles;
  const auto setting = environment.find("TRIREME_GROUP_ROLES");
  if (!setting) return roles;
  for (const std::string& entry : split_list(*setting, ',')) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0)
      fail(ErrorCode::invalid_argument,
           "TRIREME_GROUP_ROLES=" + *setting + ": expected group=role,… as in gpu=worker,cpu=evaluator");
    const std::string group = entry.substr(0, equals);
    const bool known = std::any_of(config.groups.begin(), config.groups.end(),
                                   [&](const ResourceConfig::Group& each) { return each.name == group; });
    if (!known)
      fail(ErrorCode::invalid_argument,
           "TRIREME_GROUP_ROLES=" + *setting + ": there is no instance group " + group + " in resourceconfig.json");
    if (!roles.emplace(group, parse_role(entry.substr(equals + 1), "TRIREME_GROUP_ROLES: " + group)).second)
      fail(ErrorCode::invalid_argument, "TRIREME_GROUP_ROLES=" + *setting + ": " + group + " is there twice");
  }
  return roles;
}

}  // namespace trireme::platform
