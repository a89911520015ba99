// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "memory_files.hpp"
#include "training.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/run_ranks.hpp"

#include <string>
#include <vector>

namespace trireme::testing {

/// From one number of ranks to another.
struct WorldChange {
  int from = 1;
  int to = 1;
};
#ifdef TRIREME_SANITIZED
inline constexpr WorldChange world_changes[]{{4, 3}};
#else
inline constexpr WorldChange world_changes[]{{1, 8}, {4, 3}, {8, 2}};
#endif

/// The bits after the last step of training that nothing disturbs.
inline std::string undisturbed(const MakeTraining& make) {
  std::string bits;
  run_ranks(1, [&](World& world) {
    const auto training = make(world);
    training->run([](std::uint64_t) { return true; });
    bits = training->bits();
  });
  return bits;
}

/// Trains on `ranks` and leaves behind step `stop`, saved. The bits there, alike on all ranks.
inline std::string interrupted(const MakeTraining& make, checkpoint::FileSystem& files, const std::string& path,
                               int ranks, std::uint64_t stop, std::vector<checkpoint::MemoryTier>* tiers = nullptr) {
  std::vector<std::string> bits(static_cast<std::size_t>(ranks));
  run_ranks(ranks, [&](World& world) {
    const auto own = static_cast<std::size_t>(world.rank());
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = path});
    checkpoint::Saver saver(folder, {.memory_tier = tiers != nullptr ? &(*tiers)[own] : nullptr});
    const auto training = make(world);
    checkpoint::TrainingState state;
    training->add_to(state);
    training->run([&](std::uint64_t step) {
      if (step < stop) return true;
      saver.save(step, state);  // inside the loop, behind a step's apply()
      return false;
    });
    bits[own] = training->bits();
    const auto report = saver.finish();
    require(report && report->is_complete, "the save is complete: " + (report ? report->problem : "no report"));
  });
  for (const std::string& each : bits) require(each == bits[0], "all ranks have the same bits at the interruption");
  return bits[0];
}

/// Goes on to the last step on ranks of which each finds itself restored by `restore` to the bits `at_stop`; the bits of all
/// ranks then.
inline std::vector<std::string> resumed(
    const MakeTraining& make, int ranks, const std::string& at_stop, std::uint64_t stop,
    const std::function<std::optional<checkpoint::Manifest>(World&, const checkpoint::TrainingState&)>& restore) {
  std::vector<std::string> bits(static_cast<std::size_t>(ranks));
  run_ranks(ranks, [&](World& world) {
    const auto training = make(world);
    checkpoint::TrainingState state;
    training->add_to(state);
    const auto manifest = restore(world, state);
    require(manifest && manifest->step == stop, "the step of the interruption is resumed");
    require(training->bits() == at_stop, "every bit of the state and the next samples are those of the interruption");
    training->run([](std::uint64_t) { return true; });
    bits[static_cast<std::size_t>(world.rank())] = training->bits();
  });
  return bits;
}

/// Whether training that `change` interrupts behind step `stop` ends with the bits of undisturbed training, on every rank.
inline bool ends_alike(const MakeTraining& make, const std::string& expected, WorldChange change,
                       std::uint64_t stop = 5) {
  MemoryFiles files;
  const std::string at_stop = interrupted(make, files, "/job", change.from, stop);
  const auto ends = resumed(make, change.to, at_stop, stop, [&](World& world, const checkpoint::TrainingState& state) {
    return checkpoint::Folder::open(world.communicator(), files, {.path = "/job"}).resume(state);
  });
  return std::all_of(ends.begin(), ends.end(), [&](const std::string& each) { return each == expected; });
}

}  // namespace trireme::testing
