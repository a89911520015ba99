// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "trireme/base/error.hpp"

namespace trireme::platform {

// `trireme run` exports torchrun's set and TRIREME_PROGRESS beside it. The job key is no mark: users set it under any
// launcher. A torchrun below our launcher (its own variable says so) decides for its children.
bool trireme_run_present(const Environment& environment) {
  return torchrun_present(environment) && environment.has("TRIREME_PROGRESS") &&
         !environment.has("TORCHELASTIC_RUN_ID");
}

void describe_trireme_run(const Environment& environment, ClusterSpec& spec) {
  describe_torchrun(environment, spec);
  spec.store_served = environment.integer("TRIREME_STORE", 0, 1).value_or(0) == 1;
  if (spec.store_served && !(spec.master && spec.port)) {
    fail(ErrorCode::invalid_argument, "TRIREME_STORE=1 needs MASTER_ADDR and MASTER_PORT: the address of the store");
  }
}

}  // namespace trireme::platform
