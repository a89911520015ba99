// SPDX-License-Identifier: Apache-2.0
// A task of srun. A batch script has SLURM_PROCID=0 and perhaps SLURM_NTASKS too, but no number of tasks of its step.
#include "platform/host_level.hpp"
#include "platform/launcher.hpp"
#include "platform/marks.hpp"
#include "platform/slurm_list.hpp"
#include "trireme/base/error.hpp"

#include <limits>
#include <numeric>

namespace trireme::platform {
namespace {

constexpr int most_tasks = std::numeric_limits<int>::max();

[[noreturn]] void refuse_step(const std::string& text) { fail(ErrorCode::invalid_argument, text); }

/// The first of these variables that is there.
std::optional<std::string> first_of(const Scene& scene, std::initializer_list<const char*> names, std::string& name) {
  for (const char* each : names) {
    name = each;
    if (auto text = scene.text(each)) return text;
  }
  return std::nullopt;
}

/// Ranks of every host, if Slurm says so.
std::vector<int> tasks_per_host(const Scene& scene, int world, std::size_t hosts) {
  std::vector<int> counts;
  const auto text = scene.text("SLURM_STEP_TASKS_PER_NODE");
  if (!text) return counts;
  counts = expand_slurm_counts(*text, "SLURM_STEP_TASKS_PER_NODE");
  if (counts.size() != hosts)
    refuse_step("SLURM_STEP_TASKS_PER_NODE=" + *text + " is of " + std::to_string(counts.size()) +
                " hosts, but SLURM_STEP_NODELIST has " + std::to_string(hosts));
  const auto sum = std::accumulate(counts.begin(), counts.end(), 0LL);
  if (sum != world)
    refuse_step("SLURM_STEP_TASKS_PER_NODE=" + *text + " makes " + std::to_string(sum) +
                " tasks, but SLURM_STEP_NUM_TASKS=" + std::to_string(world));
  return counts;
}

/// Where this rank is under block distribution, which only counts where Slurm does not say.
void place_by_blocks(const std::vector<int>& counts, ClusterSpec& spec, bool host_told, bool index_told) {
  int first = 0;
  for (std::size_t host = 0; host < counts.size(); first += counts[host], ++host) {
    if (spec.rank >= first + counts[host]) continue;
    if (!host_told) spec.node_rank = static_cast<int>(host);
    if (!index_told) spec.local_rank = spec.rank - first;
    return;
  }
}

void place_task(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  std::string name;
  const auto list = first_of(scene, {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"}, name);
  if (!list) {
    if (spec.world == 1) {
      spec.local_world = spec.nnodes = 1;
      spec.node_rank = 0;
      return;
    }
    refuse_step("SLURM_STEP_NUM_TASKS=" + std::to_string(spec.world) +
                ", but SLURM_STEP_NODELIST is not set: expected the "
                "hosts of the step");
  }
  const auto hosts = expand_slurm_hosts(*list, name);
  const bool of_step = name == "SLURM_STEP_NODELIST";
  if (of_step) spec.nnodes = static_cast<int>(hosts.size());
  if (const auto told = environment.integer("SLURM_STEP_NUM_NODES", 1, most_tasks)) {
    if (of_step && *told != *spec.nnodes)
      refuse_step("SLURM_STEP_NUM_NODES=" + std::to_string(*told) + ", but " + name + "=" + *list + " has " +
                  std::to_string(hosts.size()) + " hosts");
    spec.nnodes = told;
  }
  spec.master = hosts.front();
  spec.node_rank = environment.integer("SLURM_NODEID", 0, most_tasks);
  const auto index = environment.integer("SLURM_LOCALID", 0, most_tasks);
  spec.local_rank = index.value_or(0);
  const auto counts = of_step ? tasks_per_host(scene, spec.world, hosts.size()) : std::vector<int>();
  if (!spec.node_rank || !index) {
    if (counts.empty() && spec.world > 1)
      refuse_step(std::string(index ? "SLURM_NODEID" : "SLURM_LOCALID") + " is not set, but SLURM_STEP_NUM_TASKS=" +
                  std::to_string(spec.world) + ": expected the place of this task");
    if (counts.empty()) spec.node_rank = 0;
    place_by_blocks(counts, spec, spec.node_rank.has_value(), index.has_value());
  }
  if (spec.nnodes && *spec.node_rank >= *spec.nnodes)
    refuse_step("SLURM_NODEID=" + std::to_string(*spec.node_rank) + " must be below the " +
                std::to_string(*spec.nnodes) + " hosts of " + name);
  if (static_cast<std::size_t>(*spec.node_rank) < hosts.size() && of_step)
    spec.node_name = hosts[static_cast<std::size_t>(*spec.node_rank)];
  if (!counts.empty()) spec.local_world = counts[static_cast<std::size_t>(*spec.node_rank)];
  if (spec.world == 1) spec.local_world = 1;
  if (spec.local_world && spec.local_rank >= *spec.local_world)
    refuse_step("SLURM_LOCALID=" + std::to_string(spec.local_rank) + " must be below the " +
                std::to_string(*spec.local_world) + " tasks of this host in SLURM_STEP_TASKS_PER_NODE");
}

/// A number of Slurm's, which for steps goes beyond an int.
long long number_or_zero(const Scene& scene, std::initializer_list<const char*> names) {
  std::string name;
  const auto text = first_of(scene, names, name);
  if (!text) return 0;
  if (text->size() > 12 || text->find_first_not_of("0123456789") != std::string::npos)
    refuse_step(name + "=" + *text + ": expected a whole number");
  return std::stoll(*text);
}

void describe_step_meeting(const Scene& scene, ClusterSpec& spec) {
  // The host that ran srun (SLURM_LAUNCH_NODE_IPADDR) may be one of users' logins: rank 0 is on the step's first host.
  if (auto given = scene.text("MASTER_ADDR")) spec.master = given;
  if (!spec.master) return;
  const long long job = number_or_zero(scene, {"SLURM_JOB_ID", "SLURM_JOBID"});
  const long long step = number_or_zero(scene, {"SLURM_STEP_ID", "SLURM_STEPID"});
  if (job == 0 && spec.world > 1)
    spec.warnings.emplace_back("SLURM_JOB_ID is not set: steps that meet on one host may take each other's port");
  spec.port = static_cast<std::uint16_t>(20000 + (job * 7 + step) % 20000);
  if (const auto given = find_port(scene.environment)) spec.port = given;
  spec.store_host = spec.master;
  spec.store_port = spec.port;
}

}  // namespace

bool slurm_step_present(const Scene& scene) {
  const Environment& environment = scene.environment;
  if (environment.has("SLURM_STEP_NUM_TASKS")) return true;
  // A batch script is task 0 of nothing; another number is of a task whose step is missing.
  return environment.has("SLURM_PROCID") && *environment.find("SLURM_PROCID") != "0";
}

void describe_slurm_step(const Scene& scene, ClusterSpec& spec) {
  const Environment& environment = scene.environment;
  if (!environment.has("SLURM_PROCID") || !environment.has("SLURM_STEP_NUM_TASKS")) {
    const std::string given = environment.has("SLURM_PROCID") ? "SLURM_PROCID" : "SLURM_STEP_NUM_TASKS";
    const std::string missing = environment.has("SLURM_PROCID") ? "SLURM_STEP_NUM_TASKS" : "SLURM_PROCID";
    refuse_step(given + "=" + *environment.find(given) + " is set but " + missing +
                " is not: srun sets both for every task");
  }
  spec.level = "process";
  spec.world = environment.integer("SLURM_STEP_NUM_TASKS", 1, most_tasks).value();
  spec.rank = environment.integer("SLURM_PROCID", 0, most_tasks).value();
  if (spec.rank >= spec.world)
    refuse_step("SLURM_PROCID=" + std::to_string(spec.rank) +
                " must be below SLURM_STEP_NUM_TASKS=" + std::to_string(spec.world));
  place_task(scene, spec);
  describe_step_meeting(scene, spec);
}

}  // namespace trireme::platform
