// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "platform/server_role.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::platform {

/// "host:port" or "[v6]:port".
void describe_store(const std::string& text, ClusterSpec& spec) {
  const auto colon = text.rfind(':');
  std::string host = text.substr(0, std::min(colon, text.size()));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const Environment port{{"TRIREME_STORE_ADDR", colon == std::string::npos ? "" : text.substr(colon + 1)}};
  int number = 0;
  try {
    number = port.integer("TRIREME_STORE_ADDR", 1, 65535).value();
  } catch (const Exception&) {
    host.clear();
  }
  if (host.empty()) {
    fail(ErrorCode::invalid_argument,
         "TRIREME_STORE_ADDR=" + text + ": expected host:port, where the launcher serves the store");
  }
  spec.store_host = host;
  spec.store_port = static_cast<std::uint16_t>(number);
}

// `trireme run` exports torchrun's set and TRIREME_PROGRESS beside it. The job key is no mark: users set it under any
// launcher. A torchrun below our launcher (its own variable says so) decides for its children.
bool trireme_run_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  return environment.has("LOCAL_RANK") && torchrun_present(scene) && environment.has("TRIREME_PROGRESS") &&
         !environment.has("TORCHELASTIC_RUN_ID");
}

void describe_trireme_run(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  describe_torchrun(scene, spec);
  spec.store_served = environment.integer("TRIREME_STORE", 0, 1).value_or(0) == 1;
  if (!spec.store_served) return;
  // MASTER_PORT is left to the program, which may be of another library that listens there.
  if (const auto text = environment.find("TRIREME_STORE_ADDR")) return describe_store(*text, spec);
  if (!(spec.master && spec.port)) {
    fail(ErrorCode::invalid_argument,
         "TRIREME_STORE=1 needs TRIREME_STORE_ADDR, or MASTER_ADDR and MASTER_PORT: the address of the store");
  }
}

}  // namespace trireme::platform
