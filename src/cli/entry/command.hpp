// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/options.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What `trireme entry` was asked to do.
struct EntryOptions {
  enum class Kind : unsigned char {
    train,  ///< the training program, once or once per GPU
    serve,
    command  ///< `words` as they are
  };
  Kind kind = Kind::train;
  std::vector<std::string> words{};         ///< arguments of the training program; the command
  bool names_program = false;               ///< `words` begin with a program of the user's: train -- PROGRAM …
  std::optional<std::string> root{};        ///< --root
  std::chrono::seconds config_timeout{60};  ///< for the platform's files to appear
  std::optional<std::string> grace{};       ///< --grace, as `trireme run` takes it
  bool help = false;
};

/// Own flags stand before the first word. A first word that is a flag of another belongs to training: where a platform replaces
/// the image's words by flags, "train" is gone with them.
/// Errors: invalid_argument naming the flag.
EntryOptions parse_entry_options(const std::vector<std::string>& arguments);

/// The training program and its arguments: `trireme train`, or the user's (`program`, TRIREME_PROGRAM, or named behind "train --"),
/// which is given the platform's hyperparameters as flags --name=value behind everything else; `trireme train` reads them itself.
std::vector<std::string> training_command(const EntryOptions& options, const std::optional<std::string>& program,
                                          const platform::ClusterSpec& spec);

/// What the launcher of this host is asked: as many ranks as TRIREME_PROCS_PER_NODE or the cluster's description says, together with
/// the other hosts where there are any.
/// Errors: invalid_argument naming flag or variable.
RunOptions run_options(const EntryOptions& options, const platform::Environment& environment,
                       const platform::ClusterSpec& spec, const std::vector<std::string>& command);

/// The exit code by which `trireme train`, with these arguments or hyperparameters, says that it stopped in order: 143 unless
/// --interrupted-exit-code names another.
int interrupted_code(const std::vector<std::string>& words, const platform::ClusterSpec& spec);

/// How long ranks may take to end after a signal: what the platform grants, less a margin for those that wait for them.
std::chrono::milliseconds grace_within(std::chrono::seconds stop_grace);

}  // namespace trireme::cli
