// SPDX-License-Identifier: Apache-2.0
// A job of servers and workers that do nothing but meet: `trireme run --servers K -- servers_program SCENARIO`.
#include "trireme/base/error.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/world/server_directory.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <unistd.h>

using namespace trireme;
using namespace std::chrono_literals;

namespace {

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

template <class Condition>
void await(Condition condition) {
  const Deadline deadline = Deadline::after(50s);
  while (!condition()) {
    if (deadline.passed()) fail(ErrorCode::timeout, "what this scenario waits for has not come");
    std::this_thread::sleep_for(5ms);
  }
}

int serve(const std::string& scenario, const platform::Environment& environment, const platform::ClusterSpec& cluster) {
  const auto directory = ServerDirectory::open({}, environment, ServerDirectory::Opened::by_server);
  if (std::getenv("TRIREME_JOB_KEY") != nullptr) fail(ErrorCode::invalid_argument, "the job key is still there");
  const auto index = static_cast<std::uint32_t>(*cluster.server_index);
  const auto servers = static_cast<std::uint32_t>(cluster.servers);
  const auto before = directory->current(servers);
  const bool is_second_life =
      std::any_of(before.begin(), before.end(), [&](const ps::ServerCard& card) { return card.server == index; });
  directory->publish({.server = index,
                      .incarnation = static_cast<std::uint64_t>(::getpid()),
                      .host = "here",
                      .addresses = {{"127.0.0.1", 4711}},
                      .local = ""});
  const std::uint32_t workers = directory->await_shape(Deadline::after(50s)).workers;
  if (index == 1 && !is_second_life && scenario != "well" && scenario != "lose-worker" && scenario != "lose-first")
    std::raise(SIGKILL);
  await([&] { return directory->workers_ended() >= workers || !directory->is_open(); });
  say("served " + std::to_string(workers));
  return 0;
}

int work(const std::string& scenario, const platform::Environment& environment, const platform::ClusterSpec& cluster) {
  const auto directory = ServerDirectory::open({}, environment, ServerDirectory::Opened::before_world);
  const auto servers = static_cast<std::uint32_t>(cluster.servers);
  if (directory->first_said("settings", "of " + scenario) != "of " + scenario) return 1;
  const auto cards = directory->await(servers, Deadline::after(50s));
  if (scenario == "replicated") directory->declare(JobFact::replicated_servers);
  if (scenario == "lose-worker" || scenario == "lose-first") directory->declare(JobFact::independent_workers);
  if (cluster.rank == 0) directory->publish(JobShape{.workers = static_cast<std::uint32_t>(cluster.world)});
  if (scenario == "alone") std::this_thread::sleep_for(50s);  // until this job is ended
  if (scenario == "replicated") {
    const auto is_back = [&] {
      const auto now = directory->current(servers);
      return now.size() == servers && now[1].incarnation != cards[1].incarnation;
    };
    await(is_back);
    say("server 1 is back");
  }
  const int victim = scenario == "lose-worker" ? 1 : scenario == "lose-first" ? 0 : -1;
  if (cluster.rank == victim) std::raise(SIGKILL);
  if (scenario == "lose-first") std::this_thread::sleep_for(50s);
  if (scenario == "lose-worker") await([&] { return directory->workers_ended() >= 1; });
  directory->worker_ended();
  say("worked with " + std::to_string(cards.size()));
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    const auto environment = platform::Environment::of_process(::environ);
    const auto cluster = platform::detect(environment);
    const std::string scenario = count > 1 ? words[1] : "well";
    return cluster.role == platform::Role::server ? serve(scenario, environment, cluster)
                                                  : work(scenario, environment, cluster);
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "servers_program: %s\n", failure.what());
    return 1;
  }
}
