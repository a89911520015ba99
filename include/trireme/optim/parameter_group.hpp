// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// Parameters that are updated with settings of their own. A value left out is the optimizer's.
struct ParameterGroup {
  std::string name{};                     ///< for messages
  std::vector<std::string> parameters{};  ///< names; `*` stands for any characters: "*.bias", "layers.0.*"
  double learning_rate_scale = 1.0;       ///< of the rate that the schedule sets, too
  std::optional<double> l2_penalty{};
  std::optional<double> weight_decay{};

  bool has(std::string_view parameter) const;
};

}  // namespace trireme
