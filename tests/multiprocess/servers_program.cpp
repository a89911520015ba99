// SPDX-License-Identifier: Apache-2.0
// A job of servers and workers that do nothing but meet, or count: `trireme run --servers K -- servers_program SCENARIO`.
#include "trireme/base/error.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/ps/client.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/world/server_directory.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

// --- counting: every push adds one to each element; a server that dies takes nothing with it that was acknowledged ---

constexpr std::size_t counters = 6, elements = 3'000;
constexpr std::uint64_t pushes = 400;

ps::KeyPlanOptions counting_plan(std::uint32_t servers) { return {.servers = servers, .loops = 2, .replicas = true}; }

/// Says which process it is once another server has a replica of its keys: from then on it may be killed.
int serve_counters(ServerDirectory& directory, std::uint32_t index, std::uint32_t servers) {
  const std::uint32_t workers = directory.await_shape(Deadline::after(50s)).workers;
  const auto server = ps::Server::start(
      {.server = index,
       .plan = nullptr,
       .consistency = ps::Consistency::parse("async"),
       .workers = workers,
       .make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 1.0}); },
       .bind = directory.listen_addresses(),
       .key = directory.key(),
       .job_id = directory.job_id(),
       .tls = directory.tls(),
       .others = [&directory, servers] { return directory.current(servers); },
       .first_said = [&directory](const std::string& what,
                                  const std::string& text) { return directory.first_said(what, text); }});
  directory.publish(server->card());
  bool has_said = false;
  await([&] {
    if (directory.workers_ended(workers) >= workers || !directory.is_open()) return true;
    const auto now = server->statistics();
    if (!has_said && now.served_groups > 0 && now.replicated_groups == now.served_groups) {
      directory.first_said("process/" + std::to_string(index), std::to_string(::getpid()));
      has_said = true;
    }
    return false;
  });
  say("served " + std::to_string(workers));
  return 0;
}

/// The processes of the first lives of servers `digits`, when all have said them.
std::vector<pid_t> processes_of(ServerDirectory& directory, const std::string& digits) {
  std::vector<pid_t> processes;
  for (const char digit : digits)
    processes.push_back(std::stoi(directory.heard(std::string("process/") + digit, Deadline::after(50s))));
  return processes;
}

/// In the midst of its pushes worker 0 kills servers `victims`, all at once: nobody has the time to give another what he has. Each
/// worker finds out, as it reads all counters when all workers have done their pushes.
int count(std::shared_ptr<ServerDirectory> directory, std::uint32_t rank, std::uint32_t workers, std::uint32_t servers,
          const std::string& victims) {
  directory->declare(JobFact::replicated_servers);
  if (rank == 0) directory->publish(JobShape{.workers = workers});
  static_cast<void>(directory->await(servers, Deadline::after(50s)));
  std::vector<ps::TensorInfo> tensors;
  for (std::size_t t = 0; t < counters; ++t)
    tensors.push_back({.name = "counter " + std::to_string(t), .shape = {static_cast<std::int64_t>(elements)}});
  const auto plan = std::make_shared<const ps::KeyPlan>(std::move(tensors), counting_plan(servers));
  const auto client = ps::Client::connect({.rank = rank,
                                           .workers = workers,
                                           .plan = plan,
                                           .consistency = ps::Consistency::parse("async"),
                                           .key = directory->key(),
                                           .job_id = directory->job_id(),
                                           .tls = directory->tls(),
                                           .servers = [directory, servers] { return directory->current(servers); },
                                           .timeout = 40s},
                                          Deadline::after(50s));
  const std::vector<float> zeros(elements, 0.0f), ones(elements, -1.0f);
  client->initialise(std::vector<ps::Client::InitialTensor>(counters, {.values = std::span<const float>(zeros)}));
  const auto processes = processes_of(*directory, victims);
  std::vector<float> values(elements);
  std::uint64_t wrong = 0;
  // Own acknowledged pushes are in what is read; all, once all workers have done theirs.
  const auto look = [&](std::uint64_t step, float least, float most) {
    for (std::size_t t = 0; t < counters; ++t) {
      client->pull(t, step, std::span(values));
      client->wait_values(t);
      for (const float value : values) wrong += value < least || value > most || value != values.front();
    }
  };
  for (std::uint64_t step = 1; step <= pushes; ++step) {
    for (std::size_t t = 0; t < counters; ++t)
      client->push(t, {0, elements}, std::span<const float>(ones), {.step = step, .learning_rate = 1.0});
    if (step == pushes / 2 && rank == 0) {
      for (const pid_t process : processes) ::kill(process, SIGKILL);
    }
    if (step % 20 != 0) continue;
    client->wait_acknowledged();
    look(step, static_cast<float>(step), static_cast<float>(workers * pushes));
  }
  client->wait_acknowledged();
  directory->server_ended();  // a counter of those who have come so far
  await([&] { return directory->servers_ended() >= workers; });
  look(pushes, static_cast<float>(workers * pushes), static_cast<float>(workers * pushes));
  const auto did = client->statistics();
  say("counted " + std::to_string(workers * pushes) + " with " + std::to_string(wrong) + " wrong, " +
      (did.takeovers == 0 ? "no server lost" : "a server lost") +
      (directory->tls() ? ", through TLS" : ", in the open"));
  std::fprintf(stderr, "worker %u: keys of the lost server were served again after %.3f s\n", rank,
               did.last_takeover_seconds);
  client->leave();
  directory->worker_ended(rank);
  return wrong == 0 ? 0 : 1;
}

int serve(const std::string& scenario, const platform::Environment& environment, const platform::ClusterSpec& cluster) {
  const auto directory = ServerDirectory::open({}, environment, ServerDirectory::Opened::by_server);
  if (std::getenv("TRIREME_JOB_KEY") != nullptr) fail(ErrorCode::invalid_argument, "the job key is still there");
  const auto index = static_cast<std::uint32_t>(*cluster.server_index);
  const auto servers = static_cast<std::uint32_t>(cluster.servers);
  if (scenario.starts_with("count:")) return serve_counters(*directory, index, servers);
  const auto before = directory->current(servers);
  const bool is_second_life =
      std::any_of(before.begin(), before.end(), [&](const ps::ServerCard& card) { return card.server == index; });
  directory->publish({.server = index,
                      .incarnation = static_cast<std::uint64_t>(::getpid()),
                      .host = "here",
                      .addresses = {{"127.0.0.1", 4711}},
                      .local = ""});
  const std::uint32_t workers = directory->await_shape(Deadline::after(50s)).workers;
  if (index == 1 && !is_second_life && (scenario == "alone" || scenario == "replicated")) std::raise(SIGKILL);
  await([&] { return directory->workers_ended(workers) >= workers || !directory->is_open(); });
  say("served " + std::to_string(workers));
  return 0;
}

int work(const std::string& scenario, const platform::Environment& environment, const platform::ClusterSpec& cluster) {
  const auto directory = ServerDirectory::open({}, environment, ServerDirectory::Opened::before_world);
  const auto servers = static_cast<std::uint32_t>(cluster.servers);
  if (scenario.starts_with("count:"))
    return count(directory, static_cast<std::uint32_t>(cluster.rank), static_cast<std::uint32_t>(cluster.world),
                 servers, scenario.substr(6));
  if (directory->first_said("settings", "of " + scenario) != "of " + scenario) return 1;
  const auto cards = directory->await(servers, Deadline::after(50s));
  // A rank that ends without a World fails whoever still waits for a word in the store, and server 1 ends as soon as it knows the
  // shape of the job: neither before every worker has seen all first lives.
  const auto seen = [](int rank) { return "seen/" + std::to_string(rank); };
  directory->first_said(seen(cluster.rank), "the first lives");
  for (int rank = 0; rank < cluster.world; ++rank) directory->heard(seen(rank), Deadline::after(50s));
  if (scenario == "replicated") directory->declare(JobFact::replicated_servers);
  if (scenario == "lose-worker" || scenario == "lose-first" || scenario == "stop-worker")
    directory->declare(JobFact::independent_workers);
  if (cluster.rank == 0) directory->publish(JobShape{.workers = static_cast<std::uint32_t>(cluster.world)});
  static_cast<void>(directory->await_shape(Deadline::after(50s)));
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
  if (scenario == "lose-worker" || (scenario == "stop-worker" && cluster.rank != 1))
    await([&] { return directory->workers_ended(static_cast<std::uint32_t>(cluster.world)) >= 1; });
  directory->worker_ended(static_cast<std::uint32_t>(cluster.rank));
  if (scenario == "stop-worker" && cluster.rank == 1) return 128 + SIGTERM;
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
