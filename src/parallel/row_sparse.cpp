// SPDX-License-Identifier: Apache-2.0
#include "parallel/row_sparse.hpp"

#include "trireme/base/error.hpp"
#include "trireme/optim/parameter_group.hpp"

namespace trireme::parallel {

std::vector<bool> row_sparse_parameters(std::span<const Parameter> parameters, std::span<const std::string> patterns) {
  std::vector<bool> flags(parameters.size(), false);
  for (const std::string& pattern : patterns) {
    const ParameterGroup group{.name = "row_sparse", .parameters = {pattern}};
    bool found = false;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      if (!group.has(parameters[p].name)) continue;
      flags[p] = true;
      found = true;
    }
    if (!found) fail(ErrorCode::invalid_argument, "row_sparse: no parameter is named '" + pattern + "'");
  }
  return flags;
}

}  // namespace trireme::parallel
