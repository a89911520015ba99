// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"
#include "cli/doctor/report.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "world/settings.hpp"

#include <cstdio>

namespace trireme::cli {
namespace {

/// The interface asked for, else the first that leads off this host.
std::optional<std::string> find_interface(const platform::Environment& environment) {
  auto wanted = environment.find("TRIREME_INTERFACE");
  if (wanted && !wanted->empty()) {
    try {
      net::interface_addresses(*wanted);
    } catch (const Exception& exception) {
      fail(exception.error().code, "TRIREME_INTERFACE=" + *wanted + ": " + exception.error().message);
    }
    return wanted;
  }
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

}  // namespace

int doctor(const Invocation& invocation) {
  Arguments flags("Shows what Trireme sees here: who this process is, what it can use, and what is wrong.",
                  "trireme doctor");
  bool json = false;
  flags.flag("--json", json, "one line of JSON");
  if (!flags.parse(invocation.arguments)) return 0;

  refuse_unusable(invocation.environment);
  Report report;
  report.cluster = platform::detect(invocation.environment);
  report.interface = find_interface(invocation.environment);
  report.machine = describe_machine();
  report.gpus = find_gpus("/proc/driver/nvidia/gpus");
  report.engines = list_engines(invocation.environment.find("TRIREME_MPI_MODULE").value_or(""));
  report.transports = probe_transports();
  report.warnings = find_warnings(report, invocation.environment);

  std::string text = json ? to_json(report) + "\n" : to_text(report);
  bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written ? 0 : 1;
}

}  // namespace trireme::cli
