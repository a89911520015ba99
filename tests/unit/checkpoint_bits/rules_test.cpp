// SPDX-License-Identifier: Apache-2.0
// Training that stops in the middle of an epoch and goes on in another world ends with the bits of training that nothing
// disturbed: every update rule, in f32 and in 16 bits.
#include "unit/optim/rules.hpp"

#include "field_training.hpp"
#include "interrupted.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/checkpoint/local_files.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::testing;

namespace {

const NamedRule& rule_of(const std::string& name) {
  static const auto rules = all_rules();
  return *std::find_if(rules.begin(), rules.end(), [&](const NamedRule& each) { return each.name == name; });
}

}  // namespace

TEST_CASE("every rule goes on in another world with the same bits") {
  bool is_swa = false;
  for (const NamedRule& rule : all_rules()) {
    const TrainingSettings settings{
        .average = {.kind = is_swa ? AverageKind::equal : AverageKind::exponential, .decay = 0.9}};
    is_swa = !is_swa;
    const MakeTraining make = rule_training(rule.make, DType::f32, settings);
    const std::string expected = undisturbed(make);
    for (const WorldChange change : world_changes) {
      CAPTURE(rule.name, change.from, change.to);
      CHECK(ends_alike(make, expected, change));
    }
  }
}

TEST_CASE(
    "16-bit parameters go on in another world with the same bits: masters, and an overflow just before the save") {
  for (const char* name : {"adamw", "momentum", "adafactor", "muon"}) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      const MakeTraining make = rule_training(rule_of(name).make, dtype);
      const std::string expected = undisturbed(make);
      if (dtype == DType::f16) CHECK(expected.find(" 1 step") != std::string::npos);  // one step was skipped
      for (const WorldChange change : world_changes) {
        CAPTURE(name, name_of(dtype), change.from, change.to);
        CHECK(ends_alike(make, expected, change));
      }
    }
  }
}

TEST_CASE("wherever training stops, it goes on with the same bits") {
  // Behind the first step, in and at the end of an epoch, behind the overflow, before the last step.
  for (const DType dtype : {DType::f32, DType::f16}) {
    const MakeTraining make = rule_training(rule_of("adamw").make, dtype);
    const std::string expected = undisturbed(make);
    for (const std::uint64_t stop : {1, 2, 3, 4, 5, 7}) {
      CAPTURE(stop, name_of(dtype));
      CHECK(ends_alike(make, expected, {2, 3}, stop));
    }
  }
}

TEST_CASE(
    "a save does not disturb the training it is beside, and what came after it is done again with the same bits") {
  const MakeTraining make = rule_training(rule_of("adamw").make, DType::f32);
  const std::string expected = undisturbed(make);
  MemoryFiles files;
  std::string at_save;
  run_ranks(4, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
    checkpoint::Saver saver(folder);
    const auto training = make(world);
    checkpoint::TrainingState state;
    training->add_to(state);
    training->run([&](std::uint64_t step) {
      if (step == 3) {
        if (world.rank() == 0) at_save = training->bits();
        saver.save(step, state);
      } else {
        saver.advance();
      }
      return true;
    });
    saver.finish();
    require(training->bits() == expected, "the saved training ends as undisturbed");
  });
  const auto ends = resumed(make, 2, at_save, 3, [&](World& world, const checkpoint::TrainingState& state) {
    return checkpoint::Folder::open(world.communicator(), files, {.path = "/job"}).resume(state);
  });
  for (const std::string& each : ends) CHECK((each == expected));
}

TEST_CASE("training that stops again and again, each time in another world, ends with the same bits") {
  const MakeTraining make = rule_training(rule_of("adamw").make, DType::bf16);
  const std::string expected = undisturbed(make);
  const TemporaryFolder place;  // and on a disk
  const auto files = checkpoint::local_files();
  std::string last;
  std::uint64_t from = 0;
  for (const int ranks : {2, 5, 1, 8, 3}) {
    const std::uint64_t until = from + 2;
    std::vector<std::string> bits(static_cast<std::size_t>(ranks));
    run_ranks(ranks, [&](World& world) {
      auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = place.path()});
      const auto training = make(world);
      checkpoint::TrainingState state;
      training->add_to(state);
      const auto manifest = folder.resume(state);
      require((manifest ? manifest->step : 0) == from, "it goes on from the last save");
      checkpoint::Saver saver(folder, {}, manifest);
      training->run([&](std::uint64_t step) {
        if (step < until) return true;
        saver.save(step, state);
        return false;
      });
      const auto report = saver.finish();
      require(from == 8 || (report && report->is_complete), "the save is complete");
      bits[static_cast<std::size_t>(world.rank())] = training->bits();
    });
    for (const std::string& each : bits) REQUIRE((each == bits[0]));
    last = bits[0];
    from = std::min<std::uint64_t>(until, 8);
  }
  CHECK((last == expected));
}
