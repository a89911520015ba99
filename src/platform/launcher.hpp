// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/environment.hpp"

#include <span>

namespace trireme::platform {

/// One way processes are started. To add one: a file with its two functions, and a row in launchers.cpp.
struct Launcher {
  const char* name;
  /// Whether any mark of this launcher is there: then it decides, and an incomplete set of its marks is an error.
  bool (*present)(const Environment& environment);
  /// Fills everything of `spec` that the launcher tells. Errors: as detect().
  void (*describe)(const Environment& environment, ClusterSpec& spec);
};

/// The table, in order of precedence; the last one is always present.
std::span<const Launcher> launchers();

bool trireme_run_present(const Environment& environment);
void describe_trireme_run(const Environment& environment, ClusterSpec& spec);

bool torchrun_present(const Environment& environment);
void describe_torchrun(const Environment& environment, ClusterSpec& spec);

bool open_mpi_present(const Environment& environment);
void describe_open_mpi(const Environment& environment, ClusterSpec& spec);

bool hydra_present(const Environment& environment);
void describe_hydra(const Environment& environment, ClusterSpec& spec);

bool no_launcher_present(const Environment& environment);
void describe_no_launcher(const Environment& environment, ClusterSpec& spec);

}  // namespace trireme::platform
