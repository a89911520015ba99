// SPDX-License-Identifier: Apache-2.0
// PyTorchJob and TrainJob of Kubeflow: what torchrun reads, PET_*. RANK and WORLD_SIZE beside it are of hosts, or of both.
#include "platform/host_level.hpp"
#include "platform/host_port.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

#include <limits>

namespace trireme::platform {
namespace {

/// PET_NNODES: a number, or the range of an elastic job, which only counts where it leaves no choice.
int parse_nnodes(const Environment& environment) {
  const std::string text = environment.find("PET_NNODES").value();
  const auto colon = text.find(':');
  constexpr int most = std::numeric_limits<int>::max();
  if (colon == std::string::npos) return environment.integer("PET_NNODES", 1, most).value();
  const Environment ends{{"PET_NNODES", text.substr(0, colon)}, {"to", text.substr(colon + 1)}};
  const int least = ends.integer("PET_NNODES", 1, most).value();
  if (ends.find("to") == ends.find("PET_NNODES")) return least;
  fail(ErrorCode::unsupported,
       "PET_NNODES=" + text + ": elastic jobs, whose number of hosts changes, are not supported; give one number");
}

}  // namespace

bool pet_hosts_present(const Scene& scene) {
  for (const char* mark : {"PET_NODE_RANK", "PET_NNODES", "PET_RDZV_ENDPOINT"}) {
    if (scene.environment.has(mark)) return true;
  }
  return false;
}

void describe_pet_hosts(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  if (!environment.has("PET_NNODES"))
    fail(ErrorCode::invalid_argument,
         std::string(environment.has("PET_NODE_RANK") ? "PET_NODE_RANK=" + *environment.find("PET_NODE_RANK")
                                                      : "PET_RDZV_ENDPOINT") +
             " is set but PET_NNODES is not: expected the number of hosts");
  HostPlace place{.rank_name = "PET_NODE_RANK", .count_name = "PET_NNODES"};
  place.count = parse_nnodes(environment);
  place.index = environment.integer("PET_NODE_RANK", 0, std::numeric_limits<int>::max());
  if (!place.index && *place.count == 1) place.index = 0;
  if (!place.index)
    fail(ErrorCode::invalid_argument, "PET_NNODES=" + *environment.find("PET_NNODES") +
                                          " is set but PET_NODE_RANK is not: expected the index of this host");
  place.master = scene.text("PET_MASTER_ADDR");
  if (!place.master) place.master = scene.text("MASTER_ADDR");
  if (const auto endpoint = scene.text("PET_RDZV_ENDPOINT"); endpoint && !place.master) {
    const HostPort address = parse_host_port(*endpoint, "PET_RDZV_ENDPOINT");
    place.master = address.host;
    place.port = address.port.value_or(default_port);
  }
  place.port = find_port(environment, "PET_MASTER_PORT").value_or(find_port(scene.environment).value_or(place.port));
  if (!place.master && *place.count > 1)
    fail(ErrorCode::invalid_argument, "PET_NNODES=" + std::to_string(*place.count) +
                                          ", but PET_MASTER_ADDR is not set: expected the name of host 0");
  describe_host(scene, place, spec);
}

}  // namespace trireme::platform
