// SPDX-License-Identifier: Apache-2.0
#include "cli/train/memory_need.hpp"

#include "cli/train/mesh_memory_need.hpp"
#include "cli/train/optimizers.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <string_view>
#include <vector>

#include <malloc.h>
#include <sys/resource.h>

namespace trireme::cli {
namespace {

constexpr int most_stage_of_all = 2;  // of models that keep whole values

int most_stage(const TrainOptions& options) {
  return options.model == "gpt" && options.precision == Precision::f32 ? 3 : most_stage_of_all;
}

/// The least number in `file` of the folder and of those above it, up to `mount`.
std::uint64_t least_above(const std::string& mount, std::string path, const std::string& file) {
  std::uint64_t least = MemoryLimits::none;
  while (true) {
    std::uint64_t limit = 0;
    std::ifstream stream(mount + path + "/" + file);  // "max" without a limit
    if (stream >> limit) least = std::min(least, limit);
    if (path.empty()) return least;
    path.resize(path.find_last_of('/'));
  }
}

/// A limit of a group that is written as a number although there is none is beyond any memory.
void look_at_group(const std::string& root, MemoryLimits& limits) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (!path.empty() && path.front() != '/') continue;
    const bool is_unified = controllers.empty();
    if (!is_unified && controllers != "memory") continue;
    const std::uint64_t limit = is_unified ? least_above(root + "/sys/fs/cgroup", path, "memory.max")
                                           : least_above(root + "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
    if (limit >= limits.control_group) continue;
    limits.control_group = limit;
    limits.group = path.empty() ? "/" : path;
  }
}

std::uint64_t memory_of_host(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  std::string name, rest;
  std::uint64_t all = 0;
  for (std::uint64_t kib = 0; file >> name >> kib && std::getline(file, rest);) {
    if (name == "MemTotal:" || name == "SwapTotal:") all += kib << 10;
  }
  return all == 0 ? MemoryLimits::none : all;
}

std::uint64_t sharing_ranks(const TrainOptions& options, int ranks) {
  return static_cast<std::uint64_t>(options.shard_group != 0 ? options.shard_group : ranks);
}

/// What a rank says of itself.
struct Said {
  std::uint64_t address_space, control_group, host;
  std::size_t stage;  ///< its place on the pipeline axis
  std::string place;  ///< which group, on which host
};

std::vector<Said> gather_limits(World& world, int stage) {
  const MemoryLimits mine = memory_limits();
  const std::array<std::uint64_t, 4> numbers{mine.address_space, mine.control_group, mine.host,
                                             static_cast<std::uint64_t>(stage)};
  std::vector<std::uint64_t> all(numbers.size() * static_cast<std::size_t>(world.size()));
  Communicator communicator = world.communicator();
  communicator.all_gather(std::span<const std::uint64_t>(numbers), std::span<std::uint64_t>(all), {.label = "memory"});
  const auto groups = communicator.all_gather_bytes(std::as_bytes(std::span(mine.group)), {.label = "control groups"});
  std::vector<Said> said;
  for (std::size_t rank = 0; rank < groups.size(); ++rank) {
    const auto* const at = &all[numbers.size() * rank];
    said.push_back({at[0], at[1], at[2], static_cast<std::size_t>(at[3]),
                    world.host(static_cast<int>(rank)) + "\n" +
                        std::string(reinterpret_cast<const char*>(groups[rank].data()), groups[rank].size())});
  }
  return said;
}

std::string bytes_text(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

/// Empty where it fits.
std::string limit_that_is_short(const std::vector<Said>& said, std::size_t rank, const World& world,
                                std::uint64_t need) {
  const auto host = world.host(static_cast<int>(rank));
  std::uint64_t in_group = 0, on_host = 0;
  for (std::size_t other = 0; other < said.size(); ++other) {
    in_group += said[other].place == said[rank].place;
    on_host += world.host(static_cast<int>(other)) == host;
  }
  const std::string who = "rank " + std::to_string(rank) + " (" + host + ") ";
  const Said& limits = said[rank];
  if (need > limits.address_space)
    return who + "may have " + bytes_text(limits.address_space) + " of address space (ulimit -v)";
  const auto together = [](std::uint64_t ranks) {
    return ranks == 1 ? std::string() : "and " + std::to_string(ranks - 1) + " more together ";
  };
  if (need > limits.control_group / in_group)
    return who + together(in_group) + "may have " + bytes_text(limits.control_group) + " by their control group";
  if (need > limits.host / on_host)
    return who + together(on_host) + "can have " + bytes_text(limits.host) + ", all memory of that host";
  return {};
}

}  // namespace

MemoryNeed memory_need(std::span<const Parameter> shapes, const TrainOptions& options, int stage, int ranks) {
  const auto optimizer = optimizer_named(options.optimizer.name).make(options.optimizer);
  const bool is_narrow = options.precision != Precision::f32;
  MemoryNeed need;
  for (const Parameter& each : shapes) {
    const std::uint64_t count = each.value.count;
    need.parameters += count;
    need.values += count * (is_narrow ? 6 : 4);
    need.gradients += count * (is_narrow ? 6 : 4);
    const TensorShape shape = optimizer->shape_for(each.name, TensorShape::of(each.shape));
    for (std::size_t state = 0; state < optimizer->state_names().size(); ++state)
      need.state += optimizer->state_count(state, shape) * 4;
    if (is_narrow) need.state += count * 4;
  }
  const std::uint64_t sharing = sharing_ranks(options, ranks);
  if (options.offload) need.state = 0;
  if (stage >= 1) need.state /= sharing;
  if (stage >= 2 && stage <= most_stage(options) && options.model == "gpt" && !is_narrow) need.gradients /= sharing;
  if (stage == 3) need.values /= sharing;
  return need;
}

MemoryLimits memory_limits(const std::string& root) {
  MemoryLimits limits;
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) limits.address_space = space.rlim_cur;
  look_at_group(root, limits);
  limits.host = memory_of_host(root);
  return limits;
}

void spare_address_space() {
#ifdef M_ARENA_MAX
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) ::mallopt(M_ARENA_MAX, 1);
#endif
}

std::string words_of(const MemoryNeed& need, const std::string& optimizer, const std::string& mesh) {
  const std::string parameters = std::to_string(need.parameters) + " parameters ";
  return (mesh.empty() ? parameters + "take" : "share of " + parameters + "takes") + " at least " +
         bytes_text(need.total()) + (mesh.empty() ? " on each rank" : " on a rank of mesh " + mesh) + " (values " +
         std::to_string(need.values) + ", gradients " + std::to_string(need.gradients) + ", state of " + optimizer +
         " " + std::to_string(need.state) +
         (need.activations == 0 ? "" : ", activations and messages " + std::to_string(need.activations)) + ")";
}

std::string memory_advice(std::span<const Parameter> shapes, const TrainOptions& options, int ranks) {
  const int most = most_stage(options);
  std::string text;
  if (options.zero < most && sharing_ranks(options, ranks) > 1) {
    text = "share them out with --zero " + std::to_string(most) + " (at least " +
           bytes_text(memory_need(shapes, options, most, ranks).total()) + " on each of " + std::to_string(ranks) +
           " ranks), or start more ranks";
  } else if (options.zero < most) {
    text = "start more ranks, with --zero " + std::to_string(most);
  } else {
    text = "start more ranks";
  }
  if (!options.offload) text += ", or keep the optimizer's state on disk with --offload DIR";
  return text;
}

std::string check_memory(World& world, const Replicas& replicas, const TrainOptions& options,
                         const TrainingData& data) {
  if (options.device != ComputeDevice::cpu) return {};
  const std::vector<Parameter> shapes = data.shapes();
  if (shapes.empty()) return {};
  const bool is_mesh = replicas.mesh() != nullptr;
  const std::size_t samples = std::min(options.global_batch(replicas.count()), data.samples());
  const auto needs = is_mesh ? mesh_memory_need(shapes, options, options.zero, replicas.count(), samples)
                             : std::vector{memory_need(shapes, options, options.zero, world.size())};
  const std::string advice = is_mesh ? mesh_memory_advice(shapes, options, replicas.count(), samples)
                                     : memory_advice(shapes, options, world.size());
  const auto words = [&](const MemoryNeed& need) {
    return words_of(need, options.optimizer.name, is_mesh ? to_text(*replicas.mesh()) : "");
  };
  const std::vector<Said> said = gather_limits(world, is_mesh ? replicas.mesh()->coordinate("pipeline") : 0);
  for (std::size_t rank = 0; rank < said.size(); ++rank) {
    const MemoryNeed& need = needs.at(said[rank].stage);
    const std::string limit = limit_that_is_short(said, rank, world, need.total());
    if (!limit.empty())
      fail(ErrorCode::invalid_argument,
           "the model does not fit: its " + words(need) + ", and " + limit + ": " + advice);
  }
  return "the model's " + words(needs.at(said[static_cast<std::size_t>(world.rank())].stage)) + ": " + advice;
}

}  // namespace trireme::cli
