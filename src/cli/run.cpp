// SPDX-License-Identifier: Apache-2.0
#include "cli/run/launcher.hpp"
#include "cli/run/program.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"
#include "trireme/base/log.hpp"

#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

/// Descriptors 0 to 2 are taken, so that no pipe of ours can get one of these numbers.
void open_standard_descriptors() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= 2) descriptor = ::open("/dev/null", O_RDWR);
  if (descriptor > 2) ::close(descriptor);
}

int refuse(const std::string& message, int exit_code) {
  std::fprintf(stderr, "trireme run: %s\n", message.c_str());
  return exit_code;
}

/// The user's key, else a new one. Errors: invalid_argument naming the variable.
net::JobKey job_key(const platform::Environment& environment) {
  const char* variable = "";
  try {
    if (auto path = environment.find(variable = "TRIREME_JOB_KEY_FILE")) return net::JobKey::from_file(*path);
    if (auto text = environment.find(variable = "TRIREME_JOB_KEY")) return net::JobKey::from_text(*text);
  } catch (const Exception& exception) {
    fail(exception.error().code, std::string(variable) + ": " + exception.error().message);
  }
  return net::JobKey::random();
}

std::string job_id(const platform::Environment& environment) {
  if (auto id = environment.find("TRIREME_JOB_ID")) return *id;
  return net::JobKey::random().to_text().substr(0, 16);  // no secret: only random digits
}

Log launcher_log(const platform::Environment& environment) {
  LogLevel level = LogLevel::warning;
  auto name = environment.find("TRIREME_LOG");
  if (name && !parse_log_level(*name, level)) {
    fail(ErrorCode::invalid_argument, "TRIREME_LOG=" + *name + ": expected debug, info, warning, error or off");
  }
  return stderr_log(level);
}

std::unique_ptr<rendezvous::Server> start_server(const RunOptions& options, const net::JobKey& key,
                                                 const std::string& id, Log log) {
  try {
    return rendezvous::Server::start(
        {.bind = options.rendezvous, .key = key, .job_id = id, .world_size = options.ranks, .log = std::move(log)});
  } catch (const Exception& exception) {
    fail(exception.error().code, "--rendezvous " + options.rendezvous.to_string() + ": " + exception.error().message);
  }
}

/// A port that nobody holds now. It may be taken before rank 0 listens there; torchrun lives with the same chance.
std::uint16_t free_port() { return net::local_address(net::listen_tcp({"", 0})).port; }

}  // namespace

int run(const Invocation& invocation) {
  auto options = parse_run_options(invocation.arguments);
  if (!options) return 0;
  open_standard_descriptors();
  Program program = find_program(options->command.front(), invocation.environment);
  if (program.exit_code != 0) return refuse(program.problem, program.exit_code);
  Log log = launcher_log(invocation.environment);
  net::JobKey key = job_key(invocation.environment);
  std::string id = job_id(invocation.environment);
  if (options->log_dir) create_log_directory(*options->log_dir);

  SignalWatch signals;           // before any thread: all of them inherit the mask
  Guard guard = Guard::start();  // before any thread: it forks and lives on without exec
  auto server = start_server(*options, key, id, log);
  // Asked to listen on everything, it listens on both families where the host has them: the address alone does not tell.
  const net::Address store{options->rendezvous.host.empty() ? "" : server->address().host, server->address().port};
  Job job{.world = options->ranks,
          .store = store,
          .master_port = free_port(),
          .key = key,
          .id = id,
          .terminal = ::isatty(STDERR_FILENO) == 1,
          .join_timeout = options->join_timeout};

  Console console(STDOUT_FILENO, STDERR_FILENO);
  Launcher launcher(*options, {signals, guard, *server, console});
  Outcome started = launcher.start(program.path, invocation.environment, job);
  if (started.exit_code != 0) return refuse(started.line, started.exit_code);
  return launcher.wait(signals);
}

}  // namespace trireme::cli
