// SPDX-License-Identifier: Apache-2.0
#include "platform/mpi_ranks.hpp"

#include "platform/azure_meeting.hpp"
#include "platform/marks.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <limits>
#include <string>

namespace trireme::platform {
namespace {

constexpr int largest_number = std::numeric_limits<int>::max();

std::array<std::string_view, 4> all_of(const MpiVariables& names) {
  return {names.rank, names.size, names.local_rank, names.local_size};
}

void require_whole_set(const Environment& environment, const MpiVariables& names) {
  for (std::string_view missing : all_of(names)) {
    if (environment.has(missing) || (missing == names.local_size && !names.local_size_needed)) continue;
    for (std::string_view given : all_of(names)) {
      if (!environment.has(given)) continue;
      fail(ErrorCode::invalid_argument, std::string(given) + "=" + *environment.find(given) + " is set but " +
                                            std::string(missing) + " is not: " + std::string(names.launcher) +
                                            " sets both; unset all of them, or set RANK, WORLD_SIZE, LOCAL_RANK, "
                                            "MASTER_ADDR and MASTER_PORT");
    }
  }
}

/// True when the platform has said where the ranks meet.
bool describe_azure_meeting(const Scene& scene, ClusterSpec& spec) {
  if (scene.platform != "azureml") return false;
  const AzureMeeting meeting = azure_meeting(scene);
  if (!meeting.master) return false;
  if (meeting.local && spec.nnodes != 1)
    fail(
        ErrorCode::invalid_argument,
        "AZ_BATCHAI_MPI_MASTER_NODE=localhost, but the ranks are on several hosts; expected an address they can reach");
  spec.master = spec.store_host = meeting.master;
  spec.port = spec.store_port = not_of_batch(scene, meeting.port, spec.warnings);
  return true;
}

void describe_meeting(const Environment& environment, ClusterSpec& spec) {
  const auto port = find_port(environment);
  spec.master = find_master_address(environment);
  if (spec.master.has_value() != port.has_value()) {
    fail(ErrorCode::invalid_argument, std::string(port ? "MASTER_PORT" : "MASTER_ADDR") + " is set but " +
                                          (port ? "MASTER_ADDR" : "MASTER_PORT") +
                                          " is not: set both, or none to let the ranks meet through MPI");
  }
  if (!port) return;
  spec.port = spec.store_port = port;
  spec.store_host = spec.master;
}

}  // namespace

bool has_any(const Environment& environment, const MpiVariables& names) {
  for (std::string_view name : all_of(names)) {
    if (environment.has(name)) return true;
  }
  return false;
}

void describe_mpi_ranks(const Scene& scene, const MpiVariables& names, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  require_whole_set(environment, names);
  spec.level = "process";
  spec.world = environment.integer(names.size, 1, largest_number).value();
  spec.rank = environment.integer(names.rank, 0, largest_number).value();
  spec.local_rank = environment.integer(names.local_rank, 0, largest_number).value();
  spec.local_world = environment.integer(names.local_size, 1, largest_number);
  require_below(names.rank, spec.rank, names.size, spec.world);
  require_below(names.local_rank, spec.local_rank, spec.local_world ? names.local_size : names.size,
                spec.local_world.value_or(spec.world));
  if (spec.local_world && *spec.local_world > spec.world) {
    fail(ErrorCode::invalid_argument, std::string(names.local_size) + "=" + std::to_string(*spec.local_world) +
                                          " must not be above " + std::string(names.size) + "=" +
                                          std::to_string(spec.world));
  }
  // Hosts are known only where each has as many ranks, numbered host by host, as far as one rank can tell.
  if (spec.local_world && spec.world % *spec.local_world == 0) {
    spec.nnodes = spec.world / *spec.local_world;
    if (spec.rank % *spec.local_world == spec.local_rank) spec.node_rank = spec.rank / *spec.local_world;
  }
  if (!describe_azure_meeting(scene, spec)) describe_meeting(environment, spec);
  if (const auto id = environment.find("TRIREME_JOB_ID")) spec.job_id = *id;
}

}  // namespace trireme::platform
