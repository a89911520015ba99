// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/doctor/report.hpp"
#include "trireme/platform/environment.hpp"

namespace trireme::cli {

/// Looks at this machine as a process with these variables would see it; TRIREME_ROOT is where the platform's files are.
/// Errors: as platform::detect, and whatever would keep a World from opening, by its name.
Report examine(const platform::Environment& environment);

}  // namespace trireme::cli
