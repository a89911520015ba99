// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"
#include "cli/doctor/checkpoint.hpp"
#include "cli/doctor/report.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/net/host.hpp"
#include "world/settings.hpp"

#include <cstdio>

namespace trireme::cli {
namespace {

/// The interface asked for, else the one the platform names, else the first that leads off this host.
std::optional<std::string> find_interface(const platform::Environment& environment,
                                          const std::optional<std::string>& named) {
  auto wanted = environment.find("TRIREME_INTERFACE");
  if (wanted && !wanted->empty()) {
    try {
      net::interface_addresses(*wanted);
    } catch (const Exception& exception) {
      fail(exception.error().code, "TRIREME_INTERFACE=" + *wanted + ": " + exception.error().message);
    }
    return wanted;
  }
  if (named) return named;
  for (const net::InterfaceAddress& address : net::interface_addresses()) {
    if (!address.loopback) return address.interface;
  }
  return std::nullopt;
}

/// What would keep a World from opening is refused here too, by its name.
void refuse_unusable(const platform::Environment& environment) {
  LogLevel level = LogLevel::warning;
  const auto log = environment.find("TRIREME_LOG");
  if (log && !parse_log_level(*log, level)) {
    fail(ErrorCode::invalid_argument, "TRIREME_LOG is '" + *log + "': give debug, info, warning, error or off");
  }
  settle({.log = Log()}, environment);
}

/// Whether all of it reached stdout.
bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

int judge_checkpoints(const std::string& path, bool tensors, bool json) {
  const auto files = checkpoint::local_files();
  const CheckpointReport report{.path = path, .inspection = checkpoint::inspect(*files, path), .tensors = tensors};
  return print(json ? to_json(report) + "\n" : to_text(report)) && is_sound(report.inspection) ? 0 : 1;
}

}  // namespace

int doctor(const Invocation& invocation) {
  Arguments flags("Shows what Trireme sees here: who this process is, what it can use, and what is wrong.",
                  "trireme doctor");
  bool json = false;
  flags.flag("--json", json, "one line of JSON");
  std::string checkpoints;
  flags.option(
      "--checkpoint", checkpoints,
      "look at this checkpoint folder instead, reading every byte; 0 when a job can go on from there and nothing is "
      "damaged, else 1");
  std::string root;
  flags.option("--root", root, "look for the platform's files below this folder; the paths shown begin with it");
  bool tensors = false;
  flags.flag("--tensors", tensors, "with --checkpoint: name every tensor, its dtype and its shape");
  if (!flags.parse(invocation.arguments)) return 0;
  if (flags.given("--checkpoint")) return judge_checkpoints(checkpoints, tensors, json);
  if (tensors) fail(ErrorCode::invalid_argument, "--tensors needs --checkpoint DIR");

  platform::Environment environment = invocation.environment;
  if (flags.given("--root")) environment.set("TRIREME_ROOT", root);
  refuse_unusable(environment);
  Report report;
  report.cluster = platform::detect(environment);
  report.interface = find_interface(environment, report.cluster.interface);
  report.machine = describe_machine();
  report.gpus = find_gpus(environment);
  report.engines = list_engines(environment.find("TRIREME_MPI_MODULE").value_or(""));
  report.transports = probe_transports();
  report.warnings = find_warnings(report, environment);

  return print(json ? to_json(report) + "\n" : to_text(report)) ? 0 : 1;
}

}  // namespace trireme::cli
