// SPDX-License-Identifier: Apache-2.0
#include "cli/entry/server.hpp"

#include "cli/run/job_identity.hpp"
#include "cli/run/nodes.hpp"
#include "cli/run/rank_environment.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

namespace trireme::cli {
namespace {

/// TRIREME_JOIN_TIMEOUT_S; what is wrong with it the server says.
std::chrono::milliseconds join_timeout(const platform::Environment& environment) {
  constexpr std::chrono::milliseconds usual = std::chrono::minutes(15);
  const auto text = environment.find("TRIREME_JOIN_TIMEOUT_S");
  const double seconds = text ? std::strtod(text->c_str(), nullptr) : 0;
  return std::isfinite(seconds) && seconds > 0 && seconds <= 1e7
             ? std::chrono::milliseconds(std::llround(seconds * 1000))
             : usual;
}

}  // namespace

platform::Environment server_environment_here(const platform::Environment& environment,
                                              const platform::ClusterSpec& spec) {
  if (spec.level == "process") return environment;  // whoever started it has told it all
  RunOptions options;
  options.nnodes = static_cast<int>(std::max<std::size_t>(spec.hosts.size(), 1));
  options.node_rank = 1;  // warnings are node 0's
  options.remote_servers = spec.servers;
  if (!spec.master || !spec.port) {
    fail(ErrorCode::invalid_argument,
         "this host is to be a parameter server, but nothing names the first host of the workers: set MASTER_ADDR and "
         "MASTER_PORT");
  }
  options.rendezvous = {*spec.master, *spec.port};
  const std::string id = job_id(environment, options, spec.job_id);
  Job job{.store = options.rendezvous, .key = job_key(environment, options, id, {}), .id = id};
  job.servers = spec.servers;
  if (options.nnodes > 1) {
    job.store.port = place_of_ranks(options.rendezvous, job.key, id, stderr_log(LogLevel::warning),
                                    Deadline::after(join_timeout(environment)))
                         .store_port;
  }
  return server_environment(environment, job, spec.server_index.value_or(0));
}

}  // namespace trireme::cli
