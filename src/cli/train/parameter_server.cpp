// SPDX-License-Identifier: Apache-2.0
#include "cli/train/parameter_server.hpp"

#include "cli/train/server_split.hpp"
#include "cli/train/setup.hpp"
#include "cli/train/sync_check.hpp"
#include "trireme/base/error.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds serving_look{20};
constexpr std::chrono::milliseconds parting_limit{500};
/// How often the job's store is asked whether the job is still there.
constexpr std::chrono::seconds serving_question{2};

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string closing_line(std::uint32_t server, const ps::Server& served, double seconds) {
  const ps::Server::Statistics did = served.statistics();
  char text[400];
  std::snprintf(
      text, sizeof text,
      "trireme train: server %u ends: %u workers have left; in %.1f s it took %llu pushes (%.1f MB; %llu twice, %llu too late) and "
      "answered %llu pulls (%.1f MB); %.1f MB waited at most, and no pull missed more than %llu steps",
      server, served.left(), seconds, static_cast<unsigned long long>(did.pushes),
      static_cast<double>(did.bytes_in) / 1e6, static_cast<unsigned long long>(did.duplicates),
      static_cast<unsigned long long>(did.dropped), static_cast<unsigned long long>(did.pulls),
      static_cast<double>(did.bytes_out) / 1e6, static_cast<double>(did.most_waiting_bytes) / 1e6,
      static_cast<unsigned long long>(did.most_staleness));
  return text;
}

}  // namespace

void part_from_others(ServerDirectory& directory, std::uint32_t servers) {
  try {
    directory.server_ended();
    const Deadline deadline = Deadline::after(parting_limit);
    while (directory.servers_ended() < servers && !deadline.passed()) std::this_thread::sleep_for(serving_look);
  } catch (const Exception&) {  // the store has ended, and with it the job
  }
}

std::string server_settings(const TrainOptions& options) {
  if (!options.sync.server_optimizer) return "sums";
  const OptimizerChoice& rule = options.optimizer;
  std::string text = "--optimizer " + rule.name + ", --momentum " + number(rule.momentum) + ", --nesterov " +
                     (rule.nesterov ? "on" : "off") + ", --weight-decay " + number(rule.weight_decay) +
                     ", --l2-penalty " + number(rule.l2_penalty);
  if (options.sync.staleness_aware) text += ", --staleness-aware";
  return text;
}

ps::ServerOptions server_options(const TrainOptions& options, ServerDirectory& directory, std::uint32_t server,
                                 std::uint32_t servers, const JobShape& shape,
                                 std::shared_ptr<const ps::KeyPlan> plan) {
  ps::ServerOptions served{.server = server,
                           .plan = std::move(plan),
                           .consistency = options.sync.consistency,
                           .workers = shape.workers,
                           .backup_workers = options.sync.backup_workers,
                           .leaves = shape.leaves,
                           .settings = server_settings(options),
                           .staleness_aware = options.sync.staleness_aware,
                           .bind = directory.listen_addresses(),
                           .congestion = directory.congestion(),
                           .key = directory.key(),
                           .job_id = directory.job_id(),
                           .tls = directory.tls(),
                           .log = directory.log()};
  if (options.sync.server_optimizer) served.make_optimizer = [&options] { return make_optimizer(options); };
  if (options.sync.replicas && servers > 1) {
    served.others = [&directory, servers] { return directory.current(servers); };
    served.first_said = [&directory](const std::string& what, const std::string& text) {
      return directory.first_said(what, text);
    };
  }
  return served;
}

int serve_parameters(const TrainOptions& options, const platform::ClusterSpec& cluster,
                     const platform::Environment& environment, JobSignals& signals) {
  const auto index = static_cast<std::uint32_t>(cluster.server_index.value_or(0));
  const auto directory = ServerDirectory::open({}, environment, ServerDirectory::Opened::by_server);
  std::unique_ptr<ps::Server> probe;
  if (options.sync.splits_optimally) probe = offer_probe(*directory, index);
  const JobShape shape = directory->await_shape(Deadline::after(directory->join_timeout()));
  check_backup_workers(options, shape.workers);
  ps::ServerOptions served = server_options(options, *directory, index, options.sync.servers, shape, nullptr);
  std::atomic<bool> is_over{false};
  served.log = Log(LogLevel::debug, [log = directory->log(), &is_over](LogLevel level, std::string_view line) {
    if (!is_over) log(level, line);  // at the end servers leave each other, too
  });
  const auto server = ps::Server::start(std::move(served));
  directory->publish(server->card());
  signals.attend();
  const auto began = Clock::now();
  for (auto next_question = began + serving_question; server->left() < shape.workers;) {
    std::this_thread::sleep_for(serving_look);
    if (const auto failure = server->failure()) throw Exception(*failure);
    if (server->present() != 0) probe.reset();  // keys are dealt out
    if (server->present() != 0) continue;       // whoever asks for an end: a worker may still need what is here
    if (signals.stop_signal() != 0) break;
    if (Clock::now() < next_question) continue;
    if (!directory->is_open()) break;  // it ends with the job
    next_question = Clock::now() + serving_question;
  }
  is_over = true;
  part_from_others(*directory, options.sync.servers);
  std::fprintf(stderr, "%s\n",
               closing_line(index, *server, std::chrono::duration<double>(Clock::now() - began).count()).c_str());
  return 0;
}

}  // namespace trireme::cli
