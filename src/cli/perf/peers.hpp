// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// One way of starting a peer's benchmark.
struct PeerSetting {
  std::string name{};                             ///< "as shipped", "segmented ring", …
  std::vector<std::string> launcher_arguments{};  ///< behind those of all settings
  std::vector<std::string> program_arguments{};   ///< before those of the measurement
};

/// Other software that can be measured as `trireme perf` measures: which programs it takes, and the settings that are known
/// to be its best. Several: each size is held against the one that is fastest there.
struct Peer {
  std::string name{};                    ///< the word behind --compare
  std::string product{};                 ///< "Open MPI"
  std::string program{};                 ///< of bench/peers
  std::string remedy{};                  ///< where it is not there; empty: the usual one
  std::vector<std::string> launchers{};  ///< the first of these that is on PATH; none: `trireme run` starts it
  std::vector<std::string> arguments{};  ///< of the launcher
  std::vector<PeerSetting> settings{};
};

struct PeerConditions {
  int ranks = 2;
  int processors = 1;
  bool tcp = false;   ///< else the fastest way within a host
  bool root = false;  ///< whether this user is root
  bool arena = true;  ///< whether ours measures memory that all ranks map
};

/// Shape: `name` is mpi, mpich, gloo or bound.
Peer describe_peer(std::string_view name, const PeerConditions& conditions);

}  // namespace trireme::cli
