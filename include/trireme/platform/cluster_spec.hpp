// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::platform {

/// What a process is there for.
enum class Role : unsigned char {
  worker,
  server,    ///< of parameters
  evaluator  ///< scores committed checkpoints beside training; no rank of the world
};
std::string_view name_of(Role role);

/// One named set of input data, as the platform lays it out.
struct InputChannel {
  enum class Mode : unsigned char {
    file,       ///< all of it is there before the start
    fast_file,  ///< there as a file system that reads on demand: forwards fast, at random slow
    pipe        ///< a FIFO per epoch, `path` + "_0", "_1", …: each read once, by one reader, in order
  };
  std::string path;
  Mode mode = Mode::file;
  bool sharded = false;    ///< every host has another part of it; otherwise all have all of it
  bool record_io = false;  ///< objects come framed as RecordIO
};

/// Where this process runs and who it is among its peers, as far as environment and files tell. Nothing: unknown.
///
/// The *launcher* (who decides ranks) and the *platform* (where data, models and logs go) are found independently; they
/// combine freely.
struct ClusterSpec {
  std::string platform = "plain";  ///< or "sagemaker", "vertex", "azureml", "kubernetes", "slurm"
  std::string launcher = "none";  ///< "trireme" (trireme run), "torchrun" (any launcher with its variables), "openmpi",
                                  ///< "hydra" (the mpirun of MPICH and Intel MPI), "slurm", "node_list" (the platform
                                  ///< lists the hosts; ranks are still to be started), "none"
  std::string level = "single";   ///< "process": the launcher started every rank; "node": this container is a host
                                  ///< of a list, with its ranks to start; "single": nothing numbers it, a world of one
  Role role = Role::worker;

  /// Level "node": the first rank of this host, and of this role's world, provided that every host starts as many.
  /// Of other roles than workers: nothing, `ranks_known` is false.
  int rank = 0;
  int world = 1;
  bool ranks_known = true;  ///< false: hosts may start different numbers, so rank and world come out of their meeting
  int local_rank = 0;       ///< index among the ranks of this host
  std::optional<int> local_world;    ///< ranks of this host; of level "node" those to start
  std::optional<int> node_rank;      ///< index of this host among those of its role
  std::optional<int> nnodes;         ///< hosts of its role
  int servers = 0;                   ///< dedicated parameter servers of the job, as far as told
  std::optional<int> server_index;   ///< role server: which of them this process is
  std::string node_name;             ///< how the platform names this host; empty: it does not
  std::vector<std::string> hosts{};  ///< level "node": the hosts of the world in order, where they are listed

  std::optional<std::string> master;      ///< the host all ranks can reach; world > 1 without it: they meet through MPI
  std::optional<std::uint16_t> port;      ///< as the launcher gave it; known when `master` is and world > 1
  bool store_served = false;              ///< the launcher serves the store; otherwise rank 0 does
  std::optional<std::string> store_host;  ///< where the store is: `master`, unless the launcher names another
  std::optional<std::uint16_t> store_port;  ///< `port`, or its neighbour where the launcher itself occupies `port`
  std::string job_id;     ///< equal on all ranks of one start of a job; empty when nothing tells jobs apart
  int restart_count = 0;  ///< how often the platform has started this job again, if it says so
  std::optional<std::string> interface;  ///< the network interface the platform names, if it exists here

  std::optional<std::string> model_dir;
  std::optional<std::string> checkpoint_dir;
  std::optional<std::string> output_dir;
  std::optional<std::string> tensorboard_dir;
  std::optional<std::string> failure_file;         ///< what went wrong is to be written there
  std::optional<std::string> termination_message;  ///< the same for Kubernetes, whose file exists beforehand
  std::map<std::string, InputChannel> inputs;      ///< by name
  /// Name as the platform spells it -> value as one line of JSON: what the platform gave as JSON text is decoded once.
  std::map<std::string, std::string> hyperparameters;

  struct Tuning {
    std::string trial_id;                    ///< of a hyperparameter tuning job
    std::optional<std::string> metric;       ///< the name of its objective
    std::optional<std::string> metric_file;  ///< Vertex: metrics are reported there
  };
  std::optional<Tuning> tuning;
  /// From the first signal to SIGKILL, as far as the platform promises.
  std::chrono::seconds stop_grace{30};

  std::vector<std::string> warnings;  ///< one line each; for the log of rank 0 and for `trireme doctor`
};

/// Where files are looked for, and what is pretended.
struct DetectOptions {
  std::string root{};  ///< put before every absolute path that is read or returned; TRIREME_ROOT when empty
};

/// Reads the description of the cluster. The first launcher whose marks are there decides about ranks
/// (src/platform/launchers.cpp has the table), the first platform about places (src/platform/platforms.cpp).
/// Errors: invalid_argument naming the variable or file and its value for a half-present set or a contradiction;
///         unsupported for a process that is plainly one of several, started by a launcher this version cannot join.
///         Never a silent world of one: that would train as many separate models as there are processes.
ClusterSpec detect(const Environment& environment, const DetectOptions& options = {});

/// The file without which detect() would fail and which the platform may still be writing: it is not there, or not whole.
/// Nothing when there is none to wait for. Whoever starts a container asks again for up to a minute, then calls detect().
std::optional<std::string> awaited_file(const Environment& environment, const DetectOptions& options = {});

}  // namespace trireme::platform
