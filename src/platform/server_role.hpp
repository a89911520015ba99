// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <string>

namespace trireme::platform {

/// TRIREME_SERVERS, how many dedicated parameter servers the job has, beats what a list of hosts says. A server finds its number
/// in TRIREME_SERVER_INDEX, else in that of its host, and the job's store in TRIREME_STORE_ADDR.
/// Errors: invalid_argument naming the variable; for a server whose number is not told, or not below their count.
void describe_servers(const Scene& scene, ClusterSpec& spec);

/// TRIREME_STORE_ADDR=`text`, "host:port" or "[v6]:port". Errors: invalid_argument naming it.
void describe_store(const std::string& text, ClusterSpec& spec);

}  // namespace trireme::platform
