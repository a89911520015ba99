// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/examine.hpp"

#include "cli/doctor/device_engines.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "world/settings.hpp"

#include <utility>

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

}  // namespace

Report examine(const platform::Environment& environment) {
  refuse_unusable(environment);
  Report report;
  report.cluster = platform::detect(environment);
  report.interface = find_interface(environment, report.cluster.interface);
  report.machine = describe_machine();
  report.cuda = find_cuda();
  const std::string nccl = environment.find("TRIREME_NCCL_LIBRARY").value_or("");
  report.nccl = nccl.empty() ? find_nccl() : find_nccl(nccl);
  report.gpus = find_gpus(environment);
  // What is pretended, or lies below another root, is not this machine's.
  if (!environment.has("TRIREME_GPU_COUNT") && environment.find("TRIREME_ROOT").value_or("").empty())
    report.gpus = with_devices(std::move(report.gpus), report.cuda.devices);
  report.engines = list_engines(environment.find("TRIREME_MPI_MODULE").value_or(""), nccl);
  for (Availability& each : list_device_engines(report.cuda)) report.engines.push_back(std::move(each));
  report.transports = probe_transports();
  report.warnings = find_warnings(report, environment);
  return report;
}

}  // namespace trireme::cli
