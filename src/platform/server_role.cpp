// SPDX-License-Identifier: Apache-2.0
#include "platform/server_role.hpp"

#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

namespace trireme::platform {
namespace {

constexpr int most_servers = 65536;

}  // namespace

void describe_servers(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  const auto told = environment.integer("TRIREME_SERVERS", 0, most_servers);
  if (told) spec.servers = *told;
  if (spec.role != Role::server) return;
  const auto own = environment.integer("TRIREME_SERVER_INDEX", 0, most_servers - 1);
  // Alone, nothing numbers it.
  spec.server_index = own ? own : spec.level == "single" ? std::nullopt : spec.node_rank;
  if (!spec.server_index && spec.servers <= 1) spec.server_index = 0;
  if (!spec.server_index)
    fail(ErrorCode::invalid_argument, "TRIREME_SERVERS=" + std::to_string(spec.servers) +
                                          " needs TRIREME_SERVER_INDEX: which of the servers this process is");
  if (!told && spec.servers == 0) spec.servers = spec.nnodes.value_or(*spec.server_index + 1);
  require_below(own ? "TRIREME_SERVER_INDEX" : "the server's index", *spec.server_index,
                told ? "TRIREME_SERVERS" : "the number of servers", spec.servers);
  if (environment.integer("TRIREME_STORE", 0, 1).value_or(0) != 1) return;
  if (const auto text = environment.find("TRIREME_STORE_ADDR")) {
    describe_store(*text, spec);
    spec.store_served = true;
    spec.level = "process";  // started by whoever gave it the store: there is nothing left to start here
  }
}

}  // namespace trireme::platform
