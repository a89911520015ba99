// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// The one of `known` that was probably meant by `name`: at most two letters differ (one of short names), or `name` is its
/// words' initials, lr for learning-rate. Nothing when none is near.
std::optional<std::string> near_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace trireme
