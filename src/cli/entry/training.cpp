// SPDX-License-Identifier: Apache-2.0
#include "cli/entry/training.hpp"

#include "cli/entry/server.hpp"
#include "cli/failure_note.hpp"
#include "cli/run/program.hpp"
#include "cli/run/run_job.hpp"
#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include <unistd.h>

namespace trireme::cli {
namespace {

using platform::ClusterSpec;
using platform::Environment;

/// Ranks that `trireme run` starts, and what else is about a host, are not this process's own.
Environment without_ranks(Environment environment) {
  for (const char* name : {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}) environment.erase(name);
  return environment;
}

}  // namespace

void await_description(const Environment& environment, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  bool is_told = false;
  while (const auto path = platform::awaited_file(environment)) {
    if (std::chrono::steady_clock::now() >= end) return;  // what is wrong with it the detection says
    if (!std::exchange(is_told, true))
      std::fprintf(stderr, "trireme entry: waiting for %s, which describes the hosts\n", path->c_str());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

int become(const std::vector<std::string>& command, const Environment& environment) {
  const Program program = find_program(command.front(), environment);
  if (program.exit_code != 0) {
    std::fprintf(stderr, "trireme entry: %s\n", program.problem.c_str());
    return program.exit_code;
  }
  std::vector<std::string> words = command, entries = environment.entries();
  std::vector<char*> arguments, variables;
  for (std::string& word : words) arguments.push_back(word.data());
  for (std::string& entry : entries) variables.push_back(entry.data());
  arguments.push_back(nullptr);
  variables.push_back(nullptr);
  std::fflush(nullptr);
  ::execvpe(program.path.c_str(), arguments.data(), variables.data());  // what has no interpreter line is a shell's
  const int error = errno;
  std::fprintf(stderr, "trireme entry: cannot start program '%s': %s\n", command.front().c_str(), std::strerror(error));
  return error == ENOENT ? 127 : 126;
}

int train_here(const EntryOptions& options, const Environment& environment) {
  await_description(environment, options.config_timeout);
  const ClusterSpec spec = platform::detect(environment);
  auto program = environment.find("TRIREME_PROGRAM");
  if (program && program->empty()) program.reset();
  auto command = training_command(options, program, spec);
  if (spec.role == platform::Role::server) return become(command, server_environment_here(environment, spec));
  if (spec.role == platform::Role::evaluator) {
    Environment own = without_ranks(environment);
    own.set("TRIREME_ROLE", "evaluator");
    return become(command, own);
  }
  if (spec.level == "process") return become(command, environment);
  for (const std::string& warning : spec.warnings) {
    if (spec.node_rank.value_or(0) == 0) std::fprintf(stderr, "trireme warning: %s\n", warning.c_str());
  }
  const FailurePlaces places = failure_places(spec);
  if (places.file) {
    std::error_code ignored;
    std::filesystem::remove(*places.file, ignored);  // a former start's, whose cause is not this one's
  }
  return run_job(run_options(options, environment, spec, command), environment, {places, spec.interface, spec.job_id});
}

}  // namespace trireme::cli
