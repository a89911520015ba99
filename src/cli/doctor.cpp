// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.hpp"
#include "cli/doctor/checkpoint.hpp"
#include "cli/doctor/examine.hpp"
#include "cli/doctor/report.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/local_files.hpp"

#include <cstdio>

namespace trireme::cli {
namespace {

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
  const Report report = examine(environment);
  return print(json ? to_json(report) + "\n" : to_text(report)) ? 0 : 1;
}

}  // namespace trireme::cli
