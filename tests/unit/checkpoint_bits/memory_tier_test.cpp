// SPDX-License-Identifier: Apache-2.0
// Ranks that are left go on from the memory of the others, without a look at a file, to the same bits.
#include "field_training.hpp"
#include "interrupted.hpp"
#include "support/failures.hpp"
#include "trireme/optim/adamw.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

MakeTraining tier_training() {
  return rule_training([] { return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.02}); }, DType::bf16);
}

/// Those of `tiers` that are not lost, in their order.
std::vector<checkpoint::MemoryTier> without(const std::vector<checkpoint::MemoryTier>& tiers,
                                            const std::vector<std::size_t>& lost) {
  std::vector<checkpoint::MemoryTier> left;
  for (std::size_t rank = 0; rank < tiers.size(); ++rank) {
    if (std::find(lost.begin(), lost.end(), rank) == lost.end()) left.push_back(tiers[rank]);
  }
  return left;
}

auto from_memory(const std::vector<checkpoint::MemoryTier>& tiers) {
  return [&tiers](World& world, const checkpoint::TrainingState& state) {
    return tiers[static_cast<std::size_t>(world.rank())].resume(world.communicator(), state);
  };
}

bool all_are(const std::vector<std::string>& bits, const std::string& expected) {
  return std::all_of(bits.begin(), bits.end(), [&](const std::string& each) { return each == expected; });
}

}  // namespace

TEST_CASE("whichever rank of four is lost, the other three go on from memory with the same bits and read no file") {
  const MakeTraining make = tier_training();
  const std::string expected = undisturbed(make);
  MemoryFiles files;
  std::vector<checkpoint::MemoryTier> tiers(4);
  const std::string at_stop = interrupted(make, files, "/job", 4, 5, &tiers);
  const std::size_t opened = files.opened();
  for (std::size_t lost = 0; lost < 4; ++lost) {
    CAPTURE(lost);
    const auto left = without(tiers, {lost});
    CHECK(all_are(resumed(make, 3, at_stop, 5, from_memory(left)), expected));
  }
  // Nor if both of two that are no neighbours are.
  const auto left = without(tiers, {0, 2});
  CHECK(all_are(resumed(make, 2, at_stop, 5, from_memory(left)), expected));
  CHECK(files.opened() == opened);
}

TEST_CASE("when two neighbours are lost memory gives nothing and changes nothing, and the folder is used") {
  const MakeTraining make = tier_training();
  const std::string expected = undisturbed(make);
  MemoryFiles files;
  std::vector<checkpoint::MemoryTier> tiers(4);
  const std::string at_stop = interrupted(make, files, "/job", 4, 5, &tiers);
  for (const std::size_t lost : {0, 1, 2, 3}) {
    CAPTURE(lost);
    const auto left = without(tiers, {lost, (lost + 1) % 4});
    const auto restore = [&](World& world, const checkpoint::TrainingState& state) {
      auto manifest = from_memory(left)(world, state);
      require(!manifest, "memory does not have all of it");
      return checkpoint::Folder::open(world.communicator(), files, {.path = "/job"}).resume(state);
    };
    CHECK(all_are(resumed(make, 2, at_stop, 5, restore), expected));
  }
}

TEST_CASE("ranks are lost one after the other, and what is left goes on from memory each time") {
  const MakeTraining make = tier_training();
  const std::string expected = undisturbed(make);
  MemoryFiles files;
  std::vector<checkpoint::MemoryTier> tiers(4);
  std::string at_stop = interrupted(make, files, "/job", 4, 2, &tiers);
  std::uint64_t stop = 2;
  for (const std::size_t lost : {0, 2, 1}) {
    tiers = without(tiers, {lost});
    const std::uint64_t next = stop + 2;
    std::vector<std::string> bits(tiers.size());
    run_ranks(static_cast<int>(tiers.size()), [&](World& world) {
      const auto own = static_cast<std::size_t>(world.rank());
      const auto training = make(world);
      checkpoint::TrainingState state;
      training->add_to(state);
      const auto manifest = tiers[own].resume(world.communicator(), state);
      require(manifest && manifest->step == stop && training->bits() == at_stop, "resumed from memory");
      auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
      checkpoint::Saver saver(folder, {.memory_tier = &tiers[own]}, manifest);
      training->run([&](std::uint64_t step) {
        if (step < next) return true;
        saver.save(step, state);
        return false;
      });
      const auto report = saver.finish();
      require(report && report->is_complete, "the save is complete");
      bits[own] = training->bits();
    });
    at_stop = bits[0];
    stop = next;
    CHECK(all_are(bits, at_stop));
  }
  CHECK((at_stop == expected));  // one rank is left, behind step 8
}

TEST_CASE("copies that lie two ranks away outlive two ranks of one host") {
  std::vector<checkpoint::MemoryTier> tiers(4);
  MemoryFiles files;
  run_ranks(4, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
    double number = 7;
    std::vector<float> tensor(40000, 3.0f);
    std::vector<Parameter> parameters{{"tensor", {40000}, std::span(tensor), TensorView()}};
    checkpoint::ParameterState part(parameters);
    checkpoint::CounterState counters{{"number", number}};
    const checkpoint::TrainingState state{{"model", part}, {"loop", counters}};
    checkpoint::Saver saver(folder,
                            {.memory_tier = &tiers[static_cast<std::size_t>(world.rank())], .replica_distance = 2});
    saver.save(1, state);
    const auto report = saver.finish();
    require(report && report->is_complete, "it is saved");
    require(testing::code_of([&] {
              checkpoint::Saver(folder,
                                {.memory_tier = &tiers[static_cast<std::size_t>(world.rank())], .replica_distance = 4});
            }) == ErrorCode::invalid_argument,
            "a distance to oneself is refused");
  });
  const auto resumes = [&](const std::vector<checkpoint::MemoryTier>& left) {
    std::atomic<int> good{0};
    run_ranks(2, [&](World& world) {
      double number = 0;
      std::vector<float> tensor(40000, 0.0f);
      std::vector<Parameter> parameters{{"tensor", {40000}, std::span(tensor), TensorView()}};
      checkpoint::ParameterState part(parameters);
      checkpoint::CounterState counters{{"number", number}};
      const checkpoint::TrainingState state{{"model", part}, {"loop", counters}};
      const auto manifest = left[static_cast<std::size_t>(world.rank())].resume(world.communicator(), state);
      if (manifest && number == 7 && tensor == std::vector<float>(40000, 3.0f)) ++good;
    });
    return good.load();
  };
  CHECK(resumes(without(tiers, {0, 1})) == 2);  // a host of two ranks
  CHECK(resumes(without(tiers, {2, 3})) == 2);
  CHECK(resumes(without(tiers, {0, 2})) == 0);
}

TEST_CASE("tensors of which every rank has its piece come back from memory, whichever rank is lost") {
  MemoryFiles files;
  std::vector<checkpoint::MemoryTier> tiers(4);
  run_ranks(4, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
    checkpoint::Saver saver(folder, {.memory_tier = &tiers[static_cast<std::size_t>(world.rank())]});
    ToyState toy(world.rank(), world.size());
    checkpoint::TrainingState state;
    state.add("toy", toy);
    for (const std::uint64_t step : {7, 9}) {
      toy.fill(step);
      saver.save(step, state);
      const auto report = saver.finish();
      require(report && report->is_complete, "the save is complete");
    }
  });
  for (std::size_t lost = 0; lost < 5; ++lost) {
    CAPTURE(lost);
    const auto left = without(tiers, {lost});  // 4: none
    const std::size_t opened = files.opened();
    run_ranks(static_cast<int>(left.size()), [&](World& world) {
      ToyState toy(world.rank(), world.size());
      toy.fill(1);
      checkpoint::TrainingState state;
      state.add("toy", toy);
      const auto manifest = from_memory(left)(world, state);
      require(manifest && manifest->step == 9 && toy.holds(9), "every bit of the newest save is back");
    });
    CHECK(files.opened() == opened);
  }
}

TEST_CASE("a rank that comes anew joins those that hold the state in memory") {
  const MakeTraining make = tier_training();
  const std::string expected = undisturbed(make);
  MemoryFiles files;
  std::vector<checkpoint::MemoryTier> tiers(4);
  const std::string at_stop = interrupted(make, files, "/job", 4, 5, &tiers);
  const std::size_t opened = files.opened();
  for (const std::size_t replaced : {0, 2}) {
    CAPTURE(replaced);
    auto now = tiers;
    now[replaced] = checkpoint::MemoryTier();
    CHECK(all_are(resumed(make, 4, at_stop, 5, from_memory(now)), expected));
  }
  CHECK(files.opened() == opened);
}
