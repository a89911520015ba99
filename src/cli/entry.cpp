// SPDX-License-Identifier: Apache-2.0
#include "cli/entry/command.hpp"
#include "cli/entry/init.hpp"
#include "cli/entry/training.hpp"
#include "cli/exit_code.hpp"
#include "cli/failure_note.hpp"
#include "cli/run/exit_status.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

namespace trireme::cli {
namespace {

void print_help() {
  std::puts(
      "The entry point of a container: finds out where it runs, and starts what is to run there.\n"
      "\n"
      "usage: trireme entry [--root DIR] [--grace S] [--config-timeout S] [WORDS…]\n"
      "\n"
      "  (nothing), train [ARGS…]      one process per GPU of this host (or TRIREME_PROCS_PER_NODE) of `trireme train`,\n"
      "                                or of the program that TRIREME_PROGRAM names, together with those of other hosts\n"
      "  train -- PROGRAM [ARGS…]      the same of PROGRAM\n"
      "  --FLAG…                       as train --FLAG…\n"
      "  doctor, run, perf [ARGS…]     are `trireme doctor` and so on\n"
      "  anything else                 is executed as it is\n"
      "\n"
      "  --root DIR                    put before every path of the platform (TRIREME_ROOT)\n"
      "  --grace S                     seconds the ranks have to end after a signal (default: what the platform grants, less\n"
      "                                a margin)\n"
      "  --config-timeout S            seconds to wait for the platform's description of the hosts (default 60)");
}

/// What main.cpp does with what a subcommand throws, for the child, and the note that the platform shows.
int guarded(const platform::Environment& environment, int (*work)(const EntryOptions&, const platform::Environment&),
            const EntryOptions& options) {
  try {
    return work(options, environment);
  } catch (const Exception& exception) {
    const Error& error = exception.error();
    const auto spec = cluster_here(environment);
    leave_failure_note(spec ? failure_places(*spec) : usual_failure_places(environment), error.message, environment);
    std::string line = is_users(error.code) ? error.message : to_string(error);
    for (char& c : line) c = c == '\n' ? ' ' : c;
    std::fprintf(stderr, "trireme entry: %s\n", line.c_str());
    return is_users(error.code) ? 2 : 1;
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "trireme entry: %s\n", exception.what());
    return 1;
  }
}

/// Not one that was asked to stop, or stopped in order to go on another time.
bool is_failure(int code, const EntryOptions& options, const std::optional<platform::ClusterSpec>& spec) {
  if (code == 0 || code == 128 + SIGTERM || code == 128 + SIGINT || code == 128 + SIGHUP) return false;
  return !spec || code != interrupted_code(options.words, *spec);
}

}  // namespace

int entry(const Invocation& invocation) {
  EntryOptions options = parse_entry_options(invocation.arguments);
  if (options.help) {
    print_help();
    return 0;
  }
  platform::Environment environment = invocation.environment;
  if (options.root) environment.set("TRIREME_ROOT", *options.root);
  if (options.kind == EntryOptions::Kind::serve)
    fail(ErrorCode::unsupported, "serve comes in a later version; this one has train, or runs a command");
  scrub_secret_variables(invocation.environment);  // what is started gets its own from the copy
  if (options.kind == EntryOptions::Kind::command)
    return run_as_init([&] { return become(options.words, environment); });
  const int code = run_as_init([&] { return guarded(environment, train_here, options); });
  const auto spec = code == 0 ? std::nullopt : cluster_here(environment);
  if (is_failure(code, options, spec)) {  // a program that this process had become said nothing, or died
    leave_failure_note(spec ? failure_places(*spec) : usual_failure_places(environment),
                       "the training program " + ExitStatus{code, 0}.sentence() +
                           (code > 128 ? " (" + std::string(::strsignal(code - 128)) + ")" : ""),
                       environment);
  }
  return code;
}

}  // namespace trireme::cli
