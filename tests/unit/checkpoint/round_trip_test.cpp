// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/entry.hpp"
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <filesystem>

#include <sys/stat.h>

namespace {

using namespace trireme;
using testing::has;
using testing::require;
using testing::TemporaryFolder;
using testing::ToyState;

/// One attempt of `ranks` that saves the states of `steps`.
void save_steps(const std::string& path, int ranks, std::vector<std::uint64_t> steps,
                checkpoint::SaverOptions options = {}) {
  testing::run_ranks(ranks, [&](World& world) {
    const auto files = checkpoint::local_files();
    auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = path});
    checkpoint::Saver saver(folder, options);
    ToyState toy(world.rank(), world.size());
    checkpoint::TrainingState state;
    state.add("toy", toy);
    for (const std::uint64_t step : steps) {
      toy.fill(step);
      require(!saver.save(step, state), "nothing was under way");
      toy.fill(12345);  // the state goes on
      const auto report = saver.finish();
      require(report && report->is_complete && report->step == step,
              "the save is complete: " + (report ? report->problem : ""));
    }
  });
}

/// The step that `ranks` resume from, with its state verified; 0: nothing there.
std::uint64_t resumed_step(const std::string& path, int ranks, std::vector<std::string>* warnings = nullptr) {
  std::atomic<std::uint64_t> step{0};
  testing::run_ranks(ranks, [&](World& world) {
    const auto files = checkpoint::local_files();
    auto folder =
        checkpoint::Folder::open(world.communicator(), *files, {.path = path, .warn = [&](const std::string& line) {
                                                                  if (warnings != nullptr) warnings->push_back(line);
                                                                }});
    ToyState toy(world.rank(), world.size());
    checkpoint::TrainingState state;
    state.add("toy", toy);
    const auto manifest = folder.resume(state);
    require(!manifest || toy.holds(manifest->step), "every bit of the state is back");
    if (world.rank() == 0 && manifest) step = manifest->step;
  });
  return step;
}

TEST_CASE("A state saved by n ranks is the same bits on m ranks") {
  for (const int n : testing::thinned({1, 2, 3, 4, 8}, {1, 3, 8})) {
    const TemporaryFolder folder;
    save_steps(folder.path(), n, {7});
    for (const int m : testing::thinned({1, 2, 3, 4, 8}, {1, 2, 3})) CHECK(resumed_step(folder.path(), m) == 7);
  }
}

TEST_CASE("A folder without checkpoints resumes nothing") {
  const TemporaryFolder folder;
  CHECK(resumed_step(folder.path() + "/not/there/yet", 2) == 0);
  CHECK(resumed_step(folder.path() + "/not/there/yet", 3) == 0);
}

TEST_CASE("The newest checkpoint is resumed, and the last ones and every m-th are kept") {
  const TemporaryFolder folder;
  save_steps(folder.path(), 2, {10, 20, 30, 40, 50, 60}, {.keep_last = 2, .keep_every = 30});
  CHECK(resumed_step(folder.path(), 3) == 60);
  std::vector<std::string> steps;
  for (const auto& each : std::filesystem::directory_iterator(folder.path())) steps.push_back(each.path().filename());
  std::sort(steps.begin(), steps.end());
  CHECK(steps == std::vector<std::string>{"journal", "step-00000030", "step-00000050", "step-00000060"});
}

TEST_CASE(
    "What is no file is no journal entry, one that no attempt can follow is damaged, and neither holds anybody up") {
  const TemporaryFolder folder;
  save_steps(folder.path(), 1, {3});
  REQUIRE(::mkfifo((folder.path() + "/journal/00000100").c_str(), 0600) == 0);
  const checkpoint::Attempt last{.generation = ~std::uint64_t{0}, .id = 1};
  {
    const auto files = checkpoint::local_files();
    files->create(folder.path() + "/journal/00000101")->write(checkpoint::encode(checkpoint::Entry(last)));
  }
  std::vector<std::string> warnings;
  CHECK(resumed_step(folder.path(), 2, &warnings) == 3);
  REQUIRE(warnings.size() == 1);
  CHECK(has(warnings[0], "00000101 is of an attempt behind which no other can be"));
}

}  // namespace
