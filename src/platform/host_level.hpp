// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"
#include "trireme/platform/cluster_spec.hpp"

namespace trireme::platform {

/// Where ranks meet when nothing names a port.
constexpr std::uint16_t default_port = 29500;
/// What AWS's own tools take.
constexpr std::uint16_t sagemaker_port = 7777;
/// What Azure ML gives its own launcher.
constexpr std::uint16_t azure_port = 6105;

/// What a list of hosts tells, turned into a description of level "node".
struct HostPlace {
  std::string rank_name;             ///< for messages: "PET_NODE_RANK"
  std::string count_name;            ///< "PET_NNODES"
  std::optional<int> index{};        ///< of this host among those of its role
  std::optional<int> count{};        ///< hosts of its role
  std::vector<std::string> hosts{};  ///< of the workers
  Role role = Role::worker;
  int servers = 0;  ///< hosts that are parameter servers
  std::optional<std::string> master{};
  std::uint16_t port = default_port;
  std::string node_name{};
  bool alike = true;  ///< whether hosts have as many GPUs each, as far as can be told
};

/// Errors: invalid_argument for an index outside of its count, several workers without a master, and worlds whose ranks
/// cannot be counted in an int.
void describe_host(const Scene& scene, const HostPlace& place, ClusterSpec& spec);

}  // namespace trireme::platform
