// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/doctor/gpus.hpp"
#include "cli/doctor/machine.hpp"
#include "cli/doctor/nccl.hpp"
#include "cli/doctor/transports.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// Everything `trireme doctor` says.
struct Report {
  platform::ClusterSpec cluster;
  std::optional<std::string> interface;  ///< the network interface other hosts would be reached by
  Machine machine;
  std::vector<Gpu> gpus;
  Cuda cuda{"not looked for", {}, {}};
  NcclLibrary nccl{0, "not looked for"};
  std::vector<Availability> engines;
  std::vector<Availability> transports;
  std::vector<std::string> warnings;
};

/// One line of JSON with the keys that are this program's contract; null where unknown.
std::string to_json(const Report& report);

/// Short aligned lines for people; the machine too.
std::string to_text(const Report& report);

/// What is not wrong but worth knowing.
std::vector<std::string> find_warnings(const Report& report, const platform::Environment& environment);

}  // namespace trireme::cli
