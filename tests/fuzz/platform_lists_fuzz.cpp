// SPDX-License-Identifier: Apache-2.0
// What platforms put into one variable, against hostile text: the first byte chooses the variable and its company. A
// description whose numbers fit each other, or one trireme::Exception.
#include "fuzz_target.hpp"
#include "platform/slurm_list.hpp"
#include "trireme/base/error.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <string>

namespace {

using namespace trireme;
using platform::Environment;

Environment around(unsigned choice, const std::string& text) {
  switch (choice % 6) {
    case 0: return {{"CLUSTER_SPEC", text}};
    case 1: return {{"TF_CONFIG", text}};
    case 2:
      return {{"SLURM_PROCID", "1"},
              {"SLURM_STEP_NUM_TASKS", "4"},
              {"SLURM_JOB_ID", "7"},
              {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"},
              {"SLURM_STEP_NODELIST", text}};
    case 3:
      return {{"SLURM_PROCID", "1"},
              {"SLURM_STEP_NUM_TASKS", "4"},
              {"SLURM_JOB_ID", "7"},
              {"SLURM_STEP_NODELIST", "n[1-2]"},
              {"SLURM_STEP_TASKS_PER_NODE", text}};
    case 4: return {{"TRIREME_NNODES", "2"}, {"TRIREME_NODE_RANK", "0"}, {"TRIREME_MASTER", text}};
    default:
      return {{"PET_NNODES", text}, {"PET_NODE_RANK", "0"}, {"PET_MASTER_ADDR", "a"}, {"PET_NPROC_PER_NODE", text}};
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const auto spec = platform::detect(around(data[0], text), {.root = "/nonexistent"});
    promise(spec.rank >= 0 && spec.rank < spec.world, "a rank is one of the world");
    promise(!spec.local_world || *spec.local_world >= 1, "a host has a rank");
    promise(!spec.node_rank || !spec.nnodes || *spec.node_rank < *spec.nnodes, "a host is one of the hosts");
    promise(spec.role != platform::Role::worker || spec.world == 1 || spec.master.has_value(), "ranks can meet");
  } catch (const Exception& exception) {
    promise(!exception.error().message.empty(), "an error says what is wrong");
  }
  try {
    for (const auto& host : platform::expand_slurm_hosts(text, "LIST")) promise(!host.empty(), "a host has a name");
  } catch (const Exception&) {
  }
  return 0;
}
