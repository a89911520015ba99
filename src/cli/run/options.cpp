// SPDX-License-Identifier: Apache-2.0
#include "cli/run/options.hpp"

#include "cli/arguments.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include <sys/resource.h>

namespace trireme::cli {
namespace {

constexpr double longest_failure_grace_s = 3600;
constexpr double longest_grace_s = 1e6;
constexpr double longest_join_s = 1e7;
constexpr int most_nodes = 65536;
constexpr int most_evaluators = 64;
constexpr int most_servers = 1024;
constexpr int most_restarts = 1 << 20;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

/// Each rank takes two pipes here and up to two connections to the rendezvous.
int most_ranks() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur / 4, 2, 65536)) - 1;
}

void check_ranks(int ranks) {
  if (ranks < 1) refuse("-n must be at least 1, got " + std::to_string(ranks));
  if (ranks > most_ranks()) {
    refuse("-n must be at most " + std::to_string(most_ranks()) + " with this limit of open files, got " +
           std::to_string(ranks));
  }
}

void check_hosts(const std::string& hosts) {
  bool here =
      hosts.empty() || hosts == "localhost" || hosts == "127.0.0.1" || hosts == "::1" || hosts == net::host_name();
  if (here) return;
  fail(ErrorCode::unsupported,
       "unsupported --hosts " + hosts +
           ": this version starts ranks on this host only; run it on every host, with --nnodes, "
           "--node-rank and --rendezvous");
}

/// "3", or "3:3".
int parse_nnodes(const std::string& text) {
  const auto number = [&](std::string_view part) {
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || value < 1 || value > most_nodes)
      refuse("--nnodes must be a number of hosts from 1 to " + std::to_string(most_nodes) + ", got '" + text + "'");
    return value;
  };
  const auto colon = text.find(':');
  if (colon == std::string::npos) return number(text);
  const int least = number(std::string_view(text).substr(0, colon)),
            most = number(std::string_view(text).substr(colon + 1));
  if (least == most) return least;
  fail(ErrorCode::unsupported,
       "unsupported --nnodes " + text + ": hosts that come and go come in a later version; give one number");
}

void check_nodes(const RunOptions& options, bool rendezvous_given, bool node_given) {
  if (options.nnodes == 1 && !node_given) return;
  if (options.node_rank >= options.nnodes) {
    refuse("--node-rank must be below --nnodes " + std::to_string(options.nnodes) + ", got " +
           std::to_string(options.node_rank));
  }
  if (options.nnodes == 1) return;
  if (!node_given) refuse("--nnodes " + std::to_string(options.nnodes) + " needs --node-rank: the index of this host");
  if (!rendezvous_given || options.rendezvous.host.empty() || options.rendezvous.port == 0) {
    refuse("--nnodes " + std::to_string(options.nnodes) +
           " needs --rendezvous HOST:PORT, the same on every host: an address of node 0 that all can reach");
  }
}

void check_program(const std::vector<std::string>& command) {
  if (command.empty()) refuse("no program given: write it after --, as in `trireme run -n 2 -- ./program`");
  if (command.front().empty()) refuse("the name of the program after -- is empty");
}

/// The command stands behind the flags and the first "--"; without "--" the first word that is no flag begins it.
std::vector<std::string> command_of(const std::vector<std::string>& after_flags,
                                    const std::vector<std::string>& arguments,
                                    std::vector<std::string>::const_iterator separator) {
  if (!after_flags.empty() && after_flags.front().rfind('-', 0) == 0)
    refuse("unknown flag '" + after_flags.front() + "'");
  std::vector<std::string> command = after_flags;
  if (separator == arguments.end()) return command;
  auto first = command.empty() ? separator + 1 : separator;  // a "--" behind the program belongs to the program
  command.insert(command.end(), first, arguments.end());
  return command;
}

}  // namespace

std::optional<RunOptions> parse_run_options(const std::vector<std::string>& arguments) {
  RunOptions options;
  std::string rendezvous, hosts, nnodes, log_dir, bind = "none";
  double grace_s = 120, failure_grace_s = 0, join_s = 0;
  int max_restarts = 0;

  Arguments flags("Starts N ranks of any program on this host and ends with the exit code of the first cause.",
                  "trireme run");
  flags.footer("The program and its arguments stand after --: trireme run -n 2 -- ./program --its-flag");
  flags.end_at_program();
  flags.option("-n", options.ranks, "ranks to start");
  flags.require("-n");
  flags.option("--rendezvous", rendezvous,
               "HOST:PORT where the ranks meet (default: a free port of 127.0.0.1); of several hosts: where node 0's "
               "launcher listens, an address of it that all can reach");
  flags.option("--hosts", hosts, "hosts to start on; this version: this host only");
  flags.option("--nnodes", nnodes,
               "hosts, on each of which this command is started with its own -n and --node-rank (default 1)");
  flags.option("--node-rank", options.node_rank, "index of this host, 0 to N - 1", {.least = 0});
  flags.option("--servers", options.servers,
               "parameter servers: processes of the same program to start besides on node 0, without a rank and with "
               "TRIREME_ROLE=server (default 0); all processes find their number in TRIREME_SERVERS",
               {.least = 0, .most = most_servers});
  flags.option("--server-restarts", options.server_restarts,
               "how often, all together, servers that are lost are started again, where others have replicas of what "
               "they held (default 3)",
               {.least = 0, .most = most_restarts});
  flags.flag(
      "--tls", options.tls,
      "workers and parameter servers talk through TLS 1.3, keyed by the job key: TRIREME_TLS=1 for all processes");
  flags.option("--evaluators", options.evaluators,
               "processes of the same program to start besides on node 0, without a rank and with "
               "TRIREME_ROLE=evaluator: they score what the ranks commit (default 0)",
               {.least = 0, .most = most_evaluators});
  flags.option("--max-restarts", max_restarts, "starts again after a failure; this version: 0");
  flags.option("--bind", bind, "core: each rank on one processor; none (default): the system decides");
  flags.option("--log-dir", log_dir, "folder that gets rank-K.out and rank-K.err besides");
  flags.option(
      "--grace", grace_s,
      "seconds the ranks have to end, and to save what they want to keep, after a forwarded SIGINT, SIGTERM or "
      "SIGHUP, or after one has ended with 143, before they are killed (default 120)");
  flags.option("--failure-grace", failure_grace_s,
               "seconds the others have to end by themselves after a failure (default 1; 10 after a "
               "forwarded SIGINT, SIGTERM or SIGHUP)");
  flags.option(
      "--interrupted-exit-code", options.interrupted_exit_code,
      "exit code of ranks that stopped in order before their end, as trireme train's flag of that name says; others "
      "then have --grace to do so, and the job ends with it (default 143)",
      {.least = 1, .most = 255});
  flags.option("--join-timeout", join_s,
               "seconds the ranks wait for each other when they open their world, and hosts for each other before "
               "(default 900)");

  auto separator = std::find(arguments.begin(), arguments.end(), "--");
  if (!flags.parse({arguments.begin(), separator})) return std::nullopt;
  options.command = command_of(flags.remaining(), arguments, separator);

  check_ranks(options.ranks);
  check_hosts(hosts);
  if (flags.given("--nnodes")) options.nnodes = parse_nnodes(nnodes);
  if (flags.given("--server-restarts") && options.servers == 0)
    refuse("--server-restarts is of parameter servers, and there are none: give --servers");
  if (max_restarts != 0) {
    fail(ErrorCode::unsupported, "unsupported --max-restarts " + std::to_string(max_restarts) +
                                     ": restarts come in a later version; only 0 is accepted");
  }
  if (bind != "core" && bind != "none") refuse("--bind must be core or none, got '" + bind + "'");
  options.bind_cores = bind == "core";
  if (flags.given("--rendezvous")) {
    try {
      options.rendezvous = net::Address::parse(rendezvous);
    } catch (const Exception& exception) {
      refuse("--rendezvous: " + exception.error().message);
    }
  }
  check_nodes(options, flags.given("--rendezvous"), flags.given("--node-rank"));
  if (flags.given("--log-dir")) {
    if (log_dir.empty()) refuse("--log-dir: the name of the folder is empty");
    options.log_dir = log_dir;
  }
  if (!(grace_s > 0 && grace_s <= longest_grace_s)) refuse("--grace must be above 0 and at most 1e6 seconds");
  options.grace = std::chrono::milliseconds(std::llround(std::ceil(grace_s * 1000)));
  if (flags.given("--failure-grace")) {
    if (!(failure_grace_s >= 0 && failure_grace_s <= longest_failure_grace_s))
      refuse("--failure-grace must be from 0 to 3600 seconds");
    options.failure_grace = std::chrono::milliseconds(std::llround(failure_grace_s * 1000));
  }
  if (flags.given("--join-timeout")) {
    if (!(join_s > 0 && join_s <= longest_join_s)) refuse("--join-timeout must be above 0 and at most 1e7 seconds");
    options.join_timeout = std::chrono::milliseconds(std::llround(std::ceil(join_s * 1000)));
  }
  check_program(options.command);
  return options;
}

}  // namespace trireme::cli
