// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/launcher.hpp"

namespace trireme::platform {

/// Adds a warning for every complete set of marks behind `winner` in the table that says otherwise than `spec`, with
/// both values. No conflict: ranks that the hosts or tasks of another set have started, as torchrun below srun does.
void warn_of_conflicts(const Scene& scene, const Launcher& winner, ClusterSpec& spec);

}  // namespace trireme::platform
