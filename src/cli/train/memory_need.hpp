// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/replicas.hpp"
#include "cli/train/tasks/task.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/world/world.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <string>

namespace trireme::cli {

/// Bytes that a rank must have for what is trained, at least: without activations, buckets under way and units in use.
struct MemoryNeed {
  std::uint64_t parameters = 0;  ///< elements of the whole model
  std::uint64_t values = 0;
  std::uint64_t gradients = 0;
  std::uint64_t state = 0;        ///< of the optimizer, unless that is offloaded
  std::uint64_t activations = 0;  ///< on a mesh, with what passes between stages; else not known

  std::uint64_t total() const { return values + gradients + state + activations; }
};

/// With N elements shared by P ranks, S being the state's elements for each: 4N, 4N, 4SN, those divided by P that `stage` shares out. With
/// 16 bits 2N more of values and gradients, and a master of 4N.
MemoryNeed memory_need(std::span<const Parameter> shapes, const TrainOptions& options, int stage, int ranks);

/// What a process may have; the largest number is no limit.
struct MemoryLimits {
  static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t address_space = none;  ///< its own (ulimit -v)
  std::uint64_t control_group = none;  ///< of all processes in its control group or one above
  std::uint64_t host = none;           ///< of all processes: memory and swap
  std::string group{};                 ///< the control group's path
};

/// Those of this process. `root`: where /proc and /sys are looked for.
MemoryLimits memory_limits(const std::string& root = {});

/// Under a limit of address space: threads share what malloc sets aside, 64 MiB for each of them otherwise. Before there are any.
void spare_address_space();

/// "9474560 parameters take at least 151592960 bytes on each rank (…)", or "share of 1184320 parameters takes at least … on a rank of mesh
/// data=2,pipeline=2,tensor=2 (…)".
std::string words_of(const MemoryNeed& need, const std::string& optimizer, const std::string& mesh = {});

/// What makes it less: "--zero 3 …".
std::string memory_advice(std::span<const Parameter> shapes, const TrainOptions& options, int ranks);

/// Before anything of the model is made: whether it can fit at all. Collective.  Returns what is to be said, and advised, should memory run
/// out all the same; empty where the model's size is not known before it is made.
/// Errors: invalid_argument, alike on all ranks, naming the rank, its limit, the bytes wanted and what to do.
std::string check_memory(World& world, const Replicas& replicas, const TrainOptions& options, const TrainingData& data);

}  // namespace trireme::cli
