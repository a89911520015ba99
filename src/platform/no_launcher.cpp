// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"

namespace trireme::platform {

bool no_launcher_present(const Scene&) { return true; }

void describe_no_launcher(const Scene&, ClusterSpec& spec) {
  spec.level = "single";
  spec.local_world = 1;
  spec.node_rank = 0;
  spec.nnodes = 1;
}

}  // namespace trireme::platform
