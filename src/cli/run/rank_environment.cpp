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

}  // namespace

platform::Environment rank_environment(platform::Environment environment, const Job& job, int rank) {
  environment.erase_prefix("TORCHELASTIC_");
  environment.erase_prefix("ROLE_");
  environment.erase("TRIREME_JOB_KEY_FILE");  // read once, by the launcher: it may have been a pipe

  std::string world = std::to_string(job.world);
  environment.set("RANK", std::to_string(rank));
  environment.set("LOCAL_RANK", std::to_string(rank));
  environment.set("WORLD_SIZE", world);
  environment.set("LOCAL_WORLD_SIZE", world);
  environment.set("GROUP_RANK", "0");
  environment.set("GROUP_WORLD_SIZE", "1");
  environment.set("MASTER_ADDR", reachable(job.store.host));
  environment.set("MASTER_PORT", std::to_string(job.master_port));
  environment.set("TRIREME_JOB_KEY", job.key.to_text());
  environment.set("TRIREME_JOB_ID", job.id);
  environment.set("TRIREME_STORE", "1");
  environment.set("TRIREME_STORE_ADDR", net::Address{reachable(job.store.host), job.store.port}.to_string());
  if (job.join_timeout) environment.set("TRIREME_JOIN_TIMEOUT_S", in_seconds(*job.join_timeout));
  environment.set("TRIREME_PROGRESS", job.terminal ? "tty" : "plain");
  for (const char* threads : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) {
    if (!environment.has(threads)) environment.set(threads, "1");
  }
  return environment;
}

}  // namespace trireme::cli
