// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/onlooker.hpp"

#include "support/require.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

namespace {

using namespace trireme;

/// An attempt of two ranks that saves steps 10, 20 and 30, of which two stay; `look` is called on rank 0 behind each.
void save_three(const std::string& path, const std::function<void(std::uint64_t)>& look) {
  testing::run_ranks(2, [&](World& world) {
    const auto files = checkpoint::local_files();
    auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = path, .job = "toy", .host = "h"});
    checkpoint::Saver saver(folder, {.keep_last = 2});
    testing::ToyState toy(world.rank(), world.size());
    checkpoint::TrainingState state{{"toy", toy}};
    for (const std::uint64_t step : {10u, 20u, 30u}) {
      toy.fill(step);
      saver.save(step, state);
      const auto report = saver.finish();
      testing::require(report && report->is_complete, "a save is complete");
      if (world.rank() == 0) look(step);
      world.communicator().barrier();
    }
  });
}

std::set<std::string> names_below(const std::string& path) {
  std::set<std::string> names;
  for (const auto& each : std::filesystem::recursive_directory_iterator(path)) names.insert(each.path().string());
  return names;
}

}  // namespace

TEST_CASE("An onlooker sees each checkpoint when it is complete, and loads it on other ranks, touching nothing") {
  const testing::TemporaryFolder temporary;
  const std::string path = temporary.path() + "/not-there-yet";
  const auto files = checkpoint::local_files();
  checkpoint::Onlooker onlooker(*files, path);
  CHECK_FALSE(onlooker.newest().has_value());
  CHECK_FALSE(std::filesystem::exists(path));
  std::vector<std::uint64_t> seen;
  save_three(path, [&](std::uint64_t) { seen.push_back(onlooker.newest().value().step); });
  CHECK(seen == std::vector<std::uint64_t>{10, 20, 30});
  const auto before = names_below(path);
  testing::run_ranks(1, [&](World& world) {
    testing::ToyState toy(0, 1);
    const checkpoint::TrainingState state{{"toy", toy}};
    auto communicator = world.communicator();
    checkpoint::load(communicator, *files, path, onlooker.newest().value(), state);
    testing::require(toy.holds(30), "the newest state is there");
  });
  CHECK(names_below(path) == before);
}

TEST_CASE(
    "An onlooker passes over what is not whole, and finds it when it is; what retention has removed is not there") {
  const testing::TemporaryFolder temporary;
  const auto files = checkpoint::local_files();
  checkpoint::Onlooker onlooker(*files, temporary.path());
  std::optional<checkpoint::Manifest> first;
  save_three(temporary.path(), [&](std::uint64_t step) {
    if (step == 10) first = onlooker.newest();
  });
  REQUIRE(first.has_value());
  CHECK_FALSE(onlooker.is_there(*first));
  const auto newest = onlooker.newest().value();
  CHECK(onlooker.is_there(newest));
  const std::string part = temporary.path() + "/" + newest.parts.front().file;
  std::filesystem::rename(part, part + ".late");
  CHECK_FALSE(onlooker.is_there(newest));
  checkpoint::Onlooker other(*files, temporary.path());
  CHECK(other.newest().value().step == 20);
  std::filesystem::rename(part + ".late", part);
  CHECK(other.newest().value().step == 30);
}
