// SPDX-License-Identifier: Apache-2.0
#include "cli/run/rank_environment.hpp"

namespace trireme::cli {
namespace {

/// Children on this host cannot connect to "every address". Whoever listens on all of both families is reached over IPv4,
/// which is there on hosts without IPv6 too.
std::string reachable(const std::string& host) {
  if (host.empty() || host == "0.0.0.0") return "127.0.0.1";
  if (host == "::") return "::1";
  return host;
}

/// "90.250"
std::string in_seconds(std::chrono::milliseconds time) {
  const std::string thousandths = std::to_string(time.count() % 1000);
  return std::to_string(time.count() / 1000) + "." + std::string(3 - thousandths.size(), '0') + thousandths;
}

/// What ranks and evaluators have in common.
platform::Environment common_environment(platform::Environment environment, const Job& job) {
  environment.erase_prefix("TORCHELASTIC_");
  environment.erase_prefix("ROLE_");
  for (const char* name : {"TRIREME_SERVERS", "TRIREME_SERVER_INDEX"}) environment.erase(name);
  if (job.servers > 0) environment.set("TRIREME_SERVERS", std::to_string(job.servers));
  if (job.tls) environment.set("TRIREME_TLS", "1");
  environment.erase("TRIREME_JOB_KEY_FILE");  // read once, by the launcher: it may have been a pipe
  environment.set("TRIREME_JOB_ID", job.id);
  environment.set("TRIREME_PROGRESS", job.terminal ? "tty" : "plain");
  for (const char* threads : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) {
    if (!environment.has(threads)) environment.set(threads, "1");
  }
  return environment;
}

/// Of a process that is no rank.
void erase_rank(platform::Environment& environment) {
  for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE",
                           "MASTER_ADDR", "MASTER_PORT", "TRIREME_STORE", "TRIREME_STORE_ADDR", "TRIREME_JOB_KEY"})
    environment.erase(name);
}

/// Where the job's store is, and the key to it.
void set_store(platform::Environment& environment, const Job& job) {
  environment.set("TRIREME_JOB_KEY", job.key.to_text());
  environment.set("TRIREME_STORE", "1");
  environment.set("TRIREME_STORE_ADDR", net::Address{reachable(job.store.host), job.store.port}.to_string());
  if (job.join_timeout) environment.set("TRIREME_JOIN_TIMEOUT_S", in_seconds(*job.join_timeout));
}

}  // namespace

std::string reachable_host(const Job& job) { return reachable(job.store.host); }

platform::Environment rank_environment(platform::Environment inherited, const Job& job, int local_rank) {
  platform::Environment environment = common_environment(std::move(inherited), job);
  environment.set("RANK", std::to_string(job.first_rank + local_rank));
  environment.set("LOCAL_RANK", std::to_string(local_rank));
  environment.set("WORLD_SIZE", std::to_string(job.world));
  environment.set("LOCAL_WORLD_SIZE", std::to_string(job.local_world > 0 ? job.local_world : job.world));
  environment.set("GROUP_RANK", std::to_string(job.node));
  environment.set("GROUP_WORLD_SIZE", std::to_string(job.nnodes));
  environment.set("MASTER_ADDR", reachable(job.store.host));
  environment.set("MASTER_PORT", std::to_string(job.master_port));
  set_store(environment, job);
  if (job.nnodes > 1) {
    if (job.interface && !environment.has("NCCL_SOCKET_IFNAME")) environment.set("NCCL_SOCKET_IFNAME", *job.interface);
    if (!job.host_id.empty() && !environment.has("NCCL_HOSTID")) environment.set("NCCL_HOSTID", job.host_id);
  }
  return environment;
}

platform::Environment server_environment(platform::Environment inherited, const Job& job, int index) {
  platform::Environment environment = common_environment(std::move(inherited), job);
  erase_rank(environment);
  set_store(environment, job);
  environment.set("TRIREME_ROLE", "server");
  environment.set("TRIREME_SERVER_INDEX", std::to_string(index));
  return environment;
}

platform::Environment evaluator_environment(platform::Environment inherited, const Job& job) {
  platform::Environment environment = common_environment(std::move(inherited), job);
  erase_rank(environment);
  environment.set("TRIREME_ROLE", "evaluator");
  return environment;
}

}  // namespace trireme::cli
