// SPDX-License-Identifier: Apache-2.0
#include "cli/run/run_job.hpp"

#include "cli/exit_code.hpp"
#include "cli/run/job_identity.hpp"
#include "cli/run/launcher.hpp"
#include "cli/run/ports.hpp"
#include "cli/run/program.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/log.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr std::chrono::milliseconds default_join_timeout = std::chrono::minutes(15);
constexpr std::chrono::milliseconds longest_linger{10000};
/// For node 0 to say where the ranks meet, once all launchers are there.
constexpr std::chrono::seconds settling_limit{30};

/// Descriptors 0 to 2 are taken, so that no pipe of ours can get one of these numbers.
void open_standard_descriptors() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= 2) descriptor = ::open("/dev/null", O_RDWR);
  if (descriptor > 2) ::close(descriptor);
}

Log launcher_log(const platform::Environment& environment) {
  LogLevel level = LogLevel::warning;
  auto name = environment.find("TRIREME_LOG");
  if (name && !parse_log_level(*name, level)) {
    fail(ErrorCode::invalid_argument, "TRIREME_LOG=" + *name + ": expected debug, info, warning, error or off");
  }
  return stderr_log(level);
}

/// The ranks' own: of one host where it was asked for, on all addresses where servers come from other hosts; of several on all
/// addresses of node 0.
std::unique_ptr<rendezvous::Server> start_server(const RunOptions& options, const std::optional<PortRange>& range,
                                                 const Job& job, const Log& log) {
  std::unique_ptr<rendezvous::Server> server;
  const bool is_chosen = options.nnodes == 1 && options.rendezvous.port != 0;
  try {
    listen_in(is_chosen ? std::nullopt : range, [&](std::uint16_t port) {
      const std::string host = options.spans_hosts() ? "" : options.rendezvous.host;
      server = rendezvous::Server::start({.bind = {host, is_chosen ? options.rendezvous.port : port},
                                          .key = job.key,
                                          .job_id = job.id,
                                          .world_size = job.world,
                                          .log = log});
    });
  } catch (const Exception& exception) {
    const std::string who = is_chosen || !range
                                ? "--rendezvous " + options.rendezvous.to_string()
                                : std::string("TRIREME_PORT_RANGE: none of its ports can be had; the last");
    fail(exception.error().code, who + ": " + exception.error().message);
  }
  return server;
}

/// What a launcher that waits for others shares with the thread that does.
struct Meeting {
  std::mutex mutex;
  std::shared_ptr<Nodes> reached;
  std::shared_ptr<Nodes> nodes() {
    const std::lock_guard lock(mutex);
    return reached;
  }
};

/// The end of a job that a signal was to stop before its hosts had met, on whichever of them.
std::optional<Outcome> interrupted_outcome(Nodes* nodes) {
  const auto loss = nodes == nullptr ? std::nullopt : nodes->loss();
  if (!loss || loss->signal == 0) return std::nullopt;
  return Outcome{128 + loss->signal, "trireme run: " + loss->message, true};
}

/// Meets the other launchers, on a thread of its own: signals of the user's are heard all the while, and end this process and those of
/// the other hosts that are there already.
std::shared_ptr<Nodes> meet(const RunOptions& options, const Job& job, Deadline deadline, SignalWatch& signals,
                            Meeting& meeting, const Log& log) {
  Pipe met = Pipe::create();
  std::shared_ptr<Nodes> nodes;
  std::exception_ptr problem;
  std::thread thread([&] {
    try {
      nodes = Nodes::meet({.node = options.node_rank,
                           .nnodes = options.nnodes,
                           .rendezvous = options.rendezvous,
                           .key = job.key,
                           .job_id = job.id,
                           .card = {options.ranks, options.evaluators,
                                    options.node_name.empty() ? net::host_name() : options.node_name},
                           .names = options.node_names,
                           .linger = std::min(options.grace, longest_linger),
                           .reached =
                               [&](std::shared_ptr<Nodes> reached) {
                                 const std::lock_guard lock(meeting.mutex);
                                 meeting.reached = std::move(reached);
                               },
                           .log = log},
                          deadline);
    } catch (const std::exception&) {
      problem = std::current_exception();
    }
    met.write.close();
  });
  for (;;) {
    pollfd watched[2] = {{met.read.get(), POLLIN, 0}, {signals.descriptor(), POLLIN, 0}};
    ::poll(watched, 2, -1);
    if (watched[0].revents != 0) break;
    for (const int signal : signals.read()) {
      if (signal != SIGINT && signal != SIGTERM && signal != SIGHUP) continue;
      std::fprintf(stderr, "trireme run: interrupted while the hosts were meeting\n");
      std::fflush(stderr);
      if (const auto reached = meeting.nodes()) reached->interrupt(signal);
      ::_exit(128 + signal);  // a name that is being looked up cannot be waited for
    }
  }
  thread.join();
  if (problem) std::rethrow_exception(problem);
  return nodes;
}

/// Where the ranks meet: on node 0, which says so to the others.
std::unique_ptr<rendezvous::Server> settle_place(const RunOptions& options, const std::optional<PortRange>& range,
                                                 Job& job, Nodes* nodes, Deadline deadline, const Log& log) {
  std::unique_ptr<rendezvous::Server> server;
  if (options.node_rank == 0) {
    server = start_server(options, range, job, log);
    job.store = {options.rendezvous.host, server->address().port};
    job.master_port = free_port(range);
    if (nodes != nullptr) nodes->give_place({job.store.port, job.master_port});
    // Asked to listen on everything, it listens on both families where the host has them: the address alone does not tell.
    if (options.spans_hosts()) {
      job.store.host = nodes == nullptr ? "" : options.rendezvous.host;
    } else if (!options.rendezvous.host.empty()) {
      job.store.host = server->address().host;
    }
  } else {
    const MeetingPlace place = nodes->await_place(deadline);
    job.store = {options.rendezvous.host, place.store_port};
    job.master_port = place.master_port;
  }
  return server;
}

/// Nothing where the ranks can be started. Says so at once, but not before the other hosts can hear it does this one end.
Outcome checked(const Program& program, const RunOptions& options) {
  if (program.exit_code == 0) return {};
  Outcome outcome{program.exit_code, "trireme run: " + program.problem};
  outcome.is_shown = options.nnodes > 1;
  if (outcome.is_shown) std::fprintf(stderr, "%s\n", outcome.line.c_str());
  return outcome;
}

Outcome run_with(const RunOptions& options, const platform::Environment& environment,
                 const Surroundings& surroundings) {
  open_standard_descriptors();
  Program program = find_program(options.command.front(), environment);
  const Outcome no_program = checked(program, options);
  if (no_program.exit_code != 0 && options.nnodes == 1) return no_program;
  Log log = launcher_log(environment);
  const auto range = port_range(environment);
  const std::string id = job_id(environment, options, surroundings.job_id);
  Job job{.store = options.rendezvous, .key = job_key(environment, options, id, log), .id = id};
  if (options.log_dir) create_log_directory(*options.log_dir);

  SignalWatch signals;           // before any thread: all of them inherit the mask
  Guard guard = Guard::start();  // before any thread: it forks and lives on without exec
  const Deadline deadline = Deadline::after(options.join_timeout.value_or(default_join_timeout));
  Meeting meeting;
  std::shared_ptr<Nodes> nodes;
  try {
    if (options.nnodes > 1) nodes = meet(options, job, deadline, signals, meeting, log);
  } catch (const Exception&) {
    if (no_program.exit_code != 0) return no_program;
    if (const auto outcome = interrupted_outcome(meeting.nodes().get())) return *outcome;
    throw;
  }
  if (no_program.exit_code != 0) {
    nodes->give_up(nodes->who(options.node_rank) + ": " + program.problem);
    return no_program;
  }
  const auto bases = nodes ? rank_bases(nodes->cards()) : std::vector<int>{0, options.ranks};
  job.world = bases.back();
  job.first_rank = bases[static_cast<std::size_t>(options.node_rank)];
  job.local_world = options.ranks;
  job.node = options.node_rank;
  job.nnodes = options.nnodes;
  job.terminal = ::isatty(STDERR_FILENO) == 1;
  job.join_timeout = options.join_timeout;
  job.interface = surroundings.interface;
  job.host_id = options.node_name;
  job.servers = options.servers + options.remote_servers;
  job.tls = options.tls;

  std::unique_ptr<rendezvous::Server> server;
  Console console(STDOUT_FILENO, STDERR_FILENO);
  Launcher launcher(options, {signals, guard, console, nullptr, nodes.get()});
  Outcome outcome;
  try {
    server = settle_place(options, range, job, nodes.get(), Deadline::after(settling_limit), log);
    launcher.serve(server.get());
    outcome = launcher.start(program.path, environment, job);
    if (outcome.exit_code != 0) outcome.line = "trireme run: " + outcome.line;
  } catch (const Exception& exception) {
    if (const auto interrupted = interrupted_outcome(nodes.get())) return *interrupted;
    if (nodes) nodes->give_up(nodes->who(options.node_rank) + ": " + exception.error().message);
    throw;
  }
  if (outcome.exit_code != 0) {
    if (nodes) nodes->give_up(nodes->who(options.node_rank) + ": " + outcome.line.substr(sizeof("trireme run: ") - 1));
    return outcome;
  }
  outcome = launcher.wait(signals);
  if (nodes) nodes->leave();
  outcome.is_shown = true;
  return outcome;
}

}  // namespace

std::string cause_of(const Outcome& outcome) {
  constexpr std::string_view prefix = "trireme run: ";
  std::string line = outcome.line;
  if (line.starts_with(prefix)) line.erase(0, prefix.size());
  if (outcome.last_words.empty()) return line;
  // A rank that a signal ended did not come to say why.
  if (outcome.exit_code > 128) return line + ". It said last: " + outcome.last_words;
  return outcome.last_words + " (" + line + ")";
}

int run_job(const RunOptions& options, const platform::Environment& environment, const Surroundings& surroundings) {
  try {
    const Outcome outcome = run_with(options, environment, surroundings);
    if (outcome.exit_code != 0 && !outcome.interrupted)
      leave_failure_note(surroundings.failure, cause_of(outcome), environment);
    if (!outcome.is_shown) std::fprintf(stderr, "%s\n", outcome.line.c_str());
    return outcome.exit_code;
  } catch (const Exception& exception) {
    leave_failure_note(surroundings.failure, exception.error().message, environment);
    throw;
  }
}

}  // namespace trireme::cli
