// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <string_view>

namespace trireme::platform {

/// The names under which an mpirun tells a process who it is.
struct MpiVariables {
  std::string_view launcher;  ///< for messages: "Open MPI's mpirun"
  std::string_view rank;
  std::string_view size;
  std::string_view local_rank;
  std::string_view local_size;
  bool local_size_needed = true;  ///< part of the set, or a bonus
};

/// Whether any of them is there.
bool has_any(const Environment& environment, const MpiVariables& names);

/// Ranks and hosts from these variables; the meeting point from MASTER_ADDR and MASTER_PORT if the user has given them, on
/// Azure ML from what the platform says of its nodes, else there is none: the ranks then meet through MPI.
/// Errors: invalid_argument for half a set, a number that is none, or a contradiction.
void describe_mpi_ranks(const Scene& scene, const MpiVariables& names, ClusterSpec& spec);

}  // namespace trireme::platform
