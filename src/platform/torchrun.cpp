// SPDX-License-Identifier: Apache-2.0
#include "platform/azure_meeting.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace trireme::platform {
namespace {

constexpr int no_limit = std::numeric_limits<int>::max();
constexpr std::array<std::string_view, 3> marks{"RANK", "WORLD_SIZE", "LOCAL_RANK"};

void require_all_marks(const Environment& environment) {
  for (std::string_view missing : marks) {
    if (environment.has(missing)) continue;
    for (std::string_view given : marks) {
      if (!environment.has(given)) continue;
      fail(ErrorCode::invalid_argument, std::string(given) + "=" + *environment.find(given) + " is set but " +
                                            std::string(missing) +
                                            " is not: RANK, WORLD_SIZE and LOCAL_RANK go together, set all or none");
    }
  }
}

void describe_ranks(const Environment& environment, ClusterSpec& spec) {
  spec.world = environment.integer("WORLD_SIZE", 1, no_limit).value();
  spec.rank = environment.integer("RANK", 0, no_limit).value();
  spec.local_rank = environment.integer("LOCAL_RANK", 0, no_limit).value();
  require_below("RANK", spec.rank, "WORLD_SIZE", spec.world);
  require_below("LOCAL_RANK", spec.local_rank, "WORLD_SIZE", spec.world);

  spec.local_world = environment.integer("LOCAL_WORLD_SIZE", 1, no_limit);
  if (!spec.local_world && spec.world == 1) spec.local_world = 1;
  if (!spec.local_world) return;
  require_below("LOCAL_RANK", spec.local_rank, "LOCAL_WORLD_SIZE", *spec.local_world);
  if (*spec.local_world > spec.world) {
    fail(ErrorCode::invalid_argument, "LOCAL_WORLD_SIZE=" + std::to_string(*spec.local_world) +
                                          " must not be above WORLD_SIZE=" + std::to_string(spec.world));
  }
}

/// Whether an mpirun has started this rank as well: then the ranks need no address to find each other.
bool below_mpirun(const Environment& environment) {
  const auto has_all = [&](std::initializer_list<std::string_view> names) {
    return std::all_of(names.begin(), names.end(), [&](std::string_view name) { return environment.has(name); });
  };
  return has_all({"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}) ||
         has_all({"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"});
}

/// The hosts: as given, else derived where ranks are numbered host by host with as many on each.
void describe_hosts(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  spec.node_rank = environment.integer("GROUP_RANK", 0, no_limit);
  spec.nnodes = environment.integer("GROUP_WORLD_SIZE", 1, no_limit);
  if (!spec.node_rank) spec.node_rank = environment.integer("NODE_RANK", 0, no_limit);
  // Azure ML says how many nodes there are, and starts as many processes on each, one node after the other.
  const bool from_azure = scene.platform == "azureml" && !spec.nnodes && environment.has("AZUREML_NODE_COUNT");
  if (from_azure) spec.nnodes = environment.integer("AZUREML_NODE_COUNT", 1, no_limit);
  if (!spec.local_world && spec.nnodes && spec.node_rank && spec.world % *spec.nnodes == 0) {
    const int each = spec.world / *spec.nnodes;
    if (spec.rank / each == *spec.node_rank && spec.rank % each == spec.local_rank) spec.local_world = each;
  }
  if (spec.local_world && spec.world % *spec.local_world == 0) {
    if (!spec.nnodes) spec.nnodes = spec.world / *spec.local_world;
    bool host_by_host = spec.rank % *spec.local_world == spec.local_rank;
    if (!spec.node_rank && host_by_host) spec.node_rank = spec.rank / *spec.local_world;
  }
  if (spec.node_rank && spec.nnodes) {
    // Without GROUP_WORLD_SIZE the number was derived from the other two.
    const std::string_view bound = environment.has("GROUP_WORLD_SIZE") ? "GROUP_WORLD_SIZE"
                                   : from_azure                        ? "AZUREML_NODE_COUNT"
                                                                       : "WORLD_SIZE / LOCAL_WORLD_SIZE";
    require_below(environment.has("GROUP_RANK") ? "GROUP_RANK" : "NODE_RANK", *spec.node_rank, bound, *spec.nnodes);
  }
}

void describe_master(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  spec.master = find_master_address(environment);
  spec.store_host = spec.master;
  if (const auto port = find_port(environment)) {
    spec.port = not_of_batch(scene, *port, spec.warnings);
    // torchrun's agent may hold MASTER_PORT for a store of its own: every rank then takes the same neighbour instead.
    bool taken = environment.find("TORCHELASTIC_USE_AGENT_STORE").value_or("") == "True";
    int store_port = !taken ? *spec.port : (*spec.port < 65535 ? *spec.port + 1 : *spec.port - 1);
    spec.store_port = static_cast<std::uint16_t>(store_port);
  }
  if (spec.world == 1 || (!spec.master && !spec.port && below_mpirun(environment))) return;
  for (std::string_view needed : {"MASTER_ADDR", "MASTER_PORT"}) {
    if (environment.has(needed)) continue;
    fail(ErrorCode::invalid_argument, std::string(needed) + " is not set, but WORLD_SIZE=" +
                                          std::to_string(spec.world) + ": the ranks cannot find each other without it");
  }
}

void describe_job(const Environment& environment, ClusterSpec& spec) {
  if (auto id = environment.find("TRIREME_JOB_ID")) {
    spec.job_id = *id;
    return;
  }
  // A restarted job must not meet ranks of its former life; a run id alone is "none" unless the user chose one.
  if (auto id = environment.find("TORCHELASTIC_RUN_ID")) {
    spec.job_id = *id + "/" + environment.find("TORCHELASTIC_RESTART_COUNT").value_or("0") + "/";
  }
  if (spec.master && spec.port) spec.job_id += *spec.master + ":" + std::to_string(*spec.port);
}

}  // namespace

// RANK and WORLD_SIZE without LOCAL_RANK number hosts (rank_hosts.cpp); beside lists of hosts that come
// first they do not count at all.
bool torchrun_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (environment.has("LOCAL_RANK")) return true;
  if (environment.has("PET_NODE_RANK") || environment.has("CLUSTER_SPEC")) return false;
  return environment.has("RANK") != environment.has("WORLD_SIZE");
}

void describe_torchrun(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  require_all_marks(environment);
  spec.level = "process";
  describe_ranks(environment, spec);
  describe_hosts(scene, spec);
  describe_master(scene, spec);
  describe_job(environment, spec);
}

}  // namespace trireme::platform
