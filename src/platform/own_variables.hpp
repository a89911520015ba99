// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/cluster_spec.hpp"

#include <span>
#include <string_view>

namespace trireme::platform {

/// The variables that Trireme reads, in alphabetical order, without "TRIREME_" before them; HP_<NAME> is not among them.
std::span<const std::string_view> own_variables();

/// Adds a warning for each TRIREME_ variable that is none of ours but nearly one, such as TRIREME_TIMEOUT: a setting that nobody reads.
/// Names that are near none are others' business.
void warn_of_misspelt_variables(const Environment& environment, ClusterSpec& spec);

}  // namespace trireme::platform
