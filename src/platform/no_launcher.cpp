// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <charconv>

namespace trireme::platform {
namespace {

/// A variable that holds the number of processes under a launcher this version cannot join.
struct ForeignSize {
  std::string_view variable;
  std::string_view launcher;
};
constexpr std::array<ForeignSize, 2> foreign_sizes{{
    {"SLURM_STEP_NUM_TASKS", "srun"},
    {"SLURM_NTASKS", "srun"},
}};

}  // namespace

bool no_launcher_present(const Environment&) { return true; }

void describe_no_launcher(const Environment& environment, ClusterSpec& spec) {
  for (const auto& [variable, launcher] : foreign_sizes) {
    auto text = environment.find(variable);
    if (!text) continue;
    // Inside an allocation a shell has the number of tasks too; only a task has a number of its own.
    if (variable == "SLURM_NTASKS" && !environment.has("SLURM_PROCID")) continue;
    int size = 0;
    auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), size);
    // One process, or no number: nothing says that this process has peers.
    if (problem != std::errc{} || end != text->data() + text->size() || size <= 1) continue;
    fail(ErrorCode::unsupported, std::string(variable) + "=" + *text + ": started by " + std::string(launcher) +
                                     ", which this version cannot join; use trireme run, or set RANK, WORLD_SIZE, "
                                     "LOCAL_RANK, MASTER_ADDR and MASTER_PORT for each process");
  }
  spec.level = "single";
  spec.local_world = 1;
  spec.node_rank = 0;
  spec.nnodes = 1;
  if (auto id = environment.find("TRIREME_JOB_ID")) spec.job_id = *id;
}

}  // namespace trireme::platform
