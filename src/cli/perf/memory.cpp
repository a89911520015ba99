// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/memory.hpp"

#include "cli/doctor/machine.hpp"
#include "cli/perf/buffer.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/runtime.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

std::uint64_t limit_of_container() {
  std::uint64_t limit = 0;
  std::ifstream file("/sys/fs/cgroup/memory.max");  // "max" without a limit
  return file >> limit ? limit : std::numeric_limits<std::uint64_t>::max();
}

}  // namespace

PerfMemory perf_memory(const PerfOptions& options, const std::vector<std::size_t>& counts, int ranks) {
  const PerfOperation& operation = *options.operation;
  PerfMemory memory;
  for (const std::size_t count : counts) {
    const std::size_t block = count * size_of(options.dtype);
    const auto rotated = [&](PerfBlocks blocks) {
      return Rotation(count_of(blocks, ranks) * block, options.cold).bytes();
    };
    memory.input = std::max(memory.input, rotated(operation.input));
    if (!options.in_place()) memory.output = std::max(memory.output, rotated(operation.output));
  }
  const std::size_t largest = counts.empty() ? 0 : counts.back() * size_of(options.dtype) * operation.blocks(ranks);
  const double exchanged = operation.full_duplex ? 2 * operation.bus_factor(ranks) * static_cast<double>(largest) : 0.0;
  if (ranks > 1) memory.yardstick = std::max(memory.input + memory.output, static_cast<std::size_t>(exchanged));
  return memory;
}

Bytes available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  for (std::uint64_t kib = 0; file >> name >> kib && std::getline(file, unit);) {
    if (name == "MemAvailable:") return Bytes{std::min(kib << 10, limit_of_container())};
  }
  return Bytes{0};
}

Bytes perf_arena_reserve(Bytes largest) {
  constexpr std::uint64_t enough_by_default = 512 * mib;
  if (largest.value <= enough_by_default) return Bytes{0};
  // Not more than can ever be had: require_memory refuses that in better words than a failed reservation.
  const std::uint64_t physical = describe_machine().memory_bytes;
  const std::uint64_t most = physical == 0 ? std::numeric_limits<std::uint64_t>::max() : 2 * physical;
  return Bytes{std::min(4 * largest.value + enough_by_default, most)};
}

void require_memory(const World& world, Bytes needed) {
  const auto ranks_here = static_cast<std::uint64_t>(world.local_size());
  const std::array<std::int64_t, 2> mine{static_cast<std::int64_t>(ranks_here * (needed.value / mib)),
                                         static_cast<std::int64_t>(available_memory().value / mib)};  // needed, free
  std::vector<std::int64_t> all(2 * static_cast<std::size_t>(world.size()));
  world.communicator().all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(all),
                                  {.label = "memory"});
  for (std::size_t at = 0; at < all.size(); at += 2) {
    if (all[at + 1] == 0 || all[at] <= all[at + 1]) continue;
    const int rank = static_cast<int>(at / 2);
    fail(ErrorCode::invalid_argument, "--max-bytes is too large: the ranks on " + world.host(rank) +
                                          " and the yardstick hold " + std::to_string(all[at]) + " MiB in all, and " +
                                          std::to_string(all[at + 1]) + " MiB are free");
  }
}

void require_device_memory(const World& world, Bytes needed) {
  const auto runtime = world.device_runtime();
  const auto device = runtime->properties(world.device()->index);
  // Emulated devices of another process are others.
  const std::string mine = runtime->name() == "cuda" ? device.uuid : std::to_string(world.rank());
  std::int64_t sharing = 0;
  for (const auto& each : world.communicator().all_gather_bytes(std::as_bytes(std::span(mine)), {.label = "device"}))
    sharing += std::string_view(reinterpret_cast<const char*>(each.data()), each.size()) == mine;
  const std::array<std::int64_t, 2> here{sharing * static_cast<std::int64_t>(needed.value / mib),
                                         static_cast<std::int64_t>(device.memory_bytes / mib)};  // needed, there
  std::vector<std::int64_t> all(2 * static_cast<std::size_t>(world.size()));
  world.communicator().all_gather(std::span<const std::int64_t>(here), std::span<std::int64_t>(all),
                                  {.label = "device memory"});
  for (std::size_t at = 0; at < all.size(); at += 2) {
    if (all[at] < all[at + 1]) continue;
    fail(ErrorCode::invalid_argument, "--max-bytes is too large: the ranks on the device of rank " +
                                          std::to_string(at / 2) + " and the yardstick hold " +
                                          std::to_string(all[at]) + " MiB there in all, and it has " +
                                          std::to_string(all[at + 1]) + " MiB");
  }
}

}  // namespace trireme::cli
