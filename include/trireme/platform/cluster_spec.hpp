// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trireme::platform {

/// Where this process runs and who it is among its peers, as far as environment and files tell. Nothing: unknown.
///
/// The *launcher* (who decides ranks) and the *platform* (where data, models and logs go) are found independently; they
/// combine freely.
struct ClusterSpec {
  std::string platform = "plain";
  std::string launcher = "none";  ///< "trireme" (trireme run), "torchrun" (any launcher with its variables), "openmpi",
                                  ///< "hydra" (the mpirun of MPICH and Intel MPI), "none"
  std::string level = "single";   ///< "process": the launcher started every rank; "single": a world of one

  int rank = 0;
  int world = 1;
  int local_rank = 0;              ///< index among the ranks of this host
  std::optional<int> local_world;  ///< ranks of this host
  std::optional<int> node_rank;    ///< index of this host
  std::optional<int> nnodes;       ///< hosts

  std::optional<std::string> master;      ///< the host all ranks can reach; world > 1 without it: they meet through MPI
  std::optional<std::uint16_t> port;      ///< as the launcher gave it; known when `master` is and world > 1
  bool store_served = false;              ///< the launcher serves the store; otherwise rank 0 does
  std::optional<std::string> store_host;  ///< where the store is: `master`, unless the launcher names another
  std::optional<std::uint16_t> store_port;  ///< `port`, or its neighbour where the launcher itself occupies `port`
  std::string job_id;  ///< equal on all ranks of one start of a job; empty when nothing tells jobs apart

  std::optional<std::string> model_dir;
  std::optional<std::string> checkpoint_dir;
  std::optional<std::string> output_dir;
  std::optional<std::string> tensorboard_dir;
  std::map<std::string, std::string> inputs;           ///< data channel -> path
  std::map<std::string, std::string> hyperparameters;  ///< name -> text

  std::vector<std::string> warnings;  ///< one line each; for the log of rank 0 and for `trireme doctor`
};

/// Reads the description of the cluster: the first launcher whose marks are there decides (src/platform/launchers.cpp
/// has the table); without any it is a world of one.
/// Errors: invalid_argument naming the variable and its value for a half-present set or a contradiction; unsupported
///         for a process that is plainly one of several, started by a launcher this version cannot join. Never a silent
///         world of one: that would train as many separate models as there are processes.
ClusterSpec detect(const Environment& environment);

}  // namespace trireme::platform
