// SPDX-License-Identifier: Apache-2.0
#include "bench/overlap/placement.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <filesystem>

#include <sched.h>
#include <unistd.h>

namespace trireme::bench {
namespace {

void bind(pid_t thread, int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  // A thread may have ended since it was listed.
  if (::sched_setaffinity(thread, sizeof set, &set) != 0 && errno != ESRCH) fail_system("sched_setaffinity", errno);
}

}  // namespace

void place_threads(const std::string& cores, int rank) {
  if (cores == "free") return;
  const long available = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (available < 2) fail(ErrorCode::unsupported, "--cores " + cores + " needs two processors");
  const pid_t self = ::gettid();
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    const pid_t thread = std::stoi(entry.path().filename().string());
    bind(thread, cores == "own" ? rank % static_cast<int>(available) : thread == self ? 0 : 1);
  }
}

}  // namespace trireme::bench
