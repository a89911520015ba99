// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "trireme/platform/cluster_spec.hpp"

namespace trireme::platform {

ClusterSpec detect(const Environment& environment) {
  ClusterSpec spec;
  for (const Launcher& launcher : launchers()) {
    if (!launcher.present(environment)) continue;
    spec.launcher = launcher.name;
    launcher.describe(environment, spec);
    break;
  }
  return spec;
}

}  // namespace trireme::platform
