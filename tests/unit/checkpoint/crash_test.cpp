// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "support/volatile_files.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/one_attempt.hpp"

#include <catch2/catch.hpp>

#include <chrono>

namespace {

using namespace trireme;
using testing::Crash;
using testing::OneAttempt;
using testing::require;
using testing::SharedByRanks;
using testing::VolatileFiles;

struct CrashCase {
  int ranks = 1;
  VolatileFiles::Kind kind = VolatileFiles::Kind::disk;
  std::uint64_t keep_last = 2;
  bool is_first = false;  ///< the very first save, not one upon a good checkpoint
};

testing::RunRanksOptions impatient() {
  testing::RunRanksOptions options;
  options.world.timeout = std::chrono::seconds(20);  // ranks that part ways must not stop the tests for long
  return options;
}

/// What a save left that died in place of a change.
struct Left {
  std::unique_ptr<VolatileFiles> files;
  bool was_complete;  ///< it said so
};

/// A save that dies in place of every change in turn; the last one lives.
std::vector<Left> die_everywhere(const CrashCase& each) {
  std::vector<Left> all;
  SharedByRanks<VolatileFiles> first, dying;
  testing::run_ranks(
      each.ranks,
      [&](World& world) {
        VolatileFiles& base = first.make(world, [&] { return std::make_unique<VolatileFiles>(each.kind); });
        if (!each.is_first) OneAttempt(world, base).must_save(10);
        for (bool is_dead = true; is_dead;) {
          VolatileFiles& files = dying.make(world, [&] {
            auto copy = base.clone();
            copy->die_at_change(all.size());
            return copy;
          });
          bool is_complete = false;
          try {
            OneAttempt attempt(world, files, {.keep_last = each.keep_last});
            attempt.resume();
            attempt.folder().tidy();
            is_complete = attempt.save(20).is_complete;
          } catch (const Exception& failure) {
            require(testing::has(failure.error().message, "the machine is dead"), failure.error().message);
          }
          world.communicator().barrier();
          is_dead = files.is_dead();
          world.communicator().barrier();
          if (world.rank() == 0) all.push_back({files.clone(), is_complete});
        }
      },
      impatient());
  return all;
}

/// What an attempt finds after a crash, and that it can go on from there.
void go_on(World& world, const Left& left, Crash crash, std::uint64_t seed, const CrashCase& each,
           const std::string& where) {
  const auto files = left.files->after_crash(crash, seed);
  {
    OneAttempt next(world, *files, {.keep_last = each.keep_last});
    const std::uint64_t step = next.resume();
    const std::uint64_t before = each.is_first ? 0 : 10;
    require(step == 20 || (step == before && !left.was_complete),
            where + ": step " + std::to_string(step) + " is resumed");
    require(next.salt() == step, where + ": the state is that of its step");
    next.folder().tidy();
    next.must_save(30);
  }
  const auto later = files->after_crash(Crash::loses_all);
  OneAttempt last(world, *later);
  require(last.resume() == 30, where + ": what it saved then is durable");
}

/// How many deaths were survived.
std::size_t survive_everything(const CrashCase& each) {
  const std::vector<Left> all = die_everywhere(each);
  require(all.back().was_complete, "a save that nothing befalls is complete");
  testing::run_ranks(
      1,
      [&](World& world) {
        for (std::size_t k = 0; k < all.size(); k += testing::stride) {
          const std::string where = "death at change " + std::to_string(k);
          go_on(world, all[k], Crash::loses_all, 0, each, where + ", all lost");
          if (each.kind == VolatileFiles::Kind::object_store) continue;  // a crash takes nothing more from it
          go_on(world, all[k], Crash::loses_none, 0, each, where + ", none lost");
          for (std::uint64_t seed = 0; seed < (testing::is_thin ? 1u : 3u); ++seed)
            go_on(world, all[k], Crash::tears, 100 * k + seed, each, where + ", torn by seed " + std::to_string(seed));
        }
      },
      impatient());
  return all.size() - 1;
}

TEST_CASE("A save that dies anywhere leaves the checkpoint before it or its own, whatever the crash loses") {
  for (const int ranks : {1, 2}) {
    for (const std::uint64_t keep_last : {1, 2})
      CHECK(survive_everything({.ranks = ranks, .keep_last = keep_last}) > 20);
    CHECK(survive_everything({.ranks = ranks, .kind = VolatileFiles::Kind::object_store, .keep_last = 1}) > 20);
  }
}

TEST_CASE("The very first save that dies anywhere leaves nothing or itself") {
  for (const auto kind : {VolatileFiles::Kind::disk, VolatileFiles::Kind::object_store}) {
    for (const int ranks : {1, 2}) CHECK(survive_everything({.ranks = ranks, .kind = kind, .is_first = true}) > 20);
  }
}

TEST_CASE("What a process that died made, and did not sync, is durable once another relies on it") {
  // The process dies, the machine does not; an attempt saves on what it finds; then the machine crashes.
  for (const bool is_first : {true, false}) {
    testing::run_ranks(1, [&](World& world) {
      VolatileFiles base;
      if (!is_first) OneAttempt(world, base).must_save(10);
      for (std::uint64_t k = 0, is_dead = 1; is_dead != 0; k += testing::stride) {
        auto files = base.clone();
        files->die_at_change(k);
        try {
          OneAttempt(world, *files).save(20);
        } catch (const Exception&) {  // it died
        }
        is_dead = files->is_dead() ? 1 : 0;
        const auto survivor = files->clone();
        {
          OneAttempt next(world, *survivor, {.keep_last = 1});
          next.resume();
          next.must_save(20);
        }
        const auto found = survivor->after_crash(Crash::loses_all);
        OneAttempt last(world, *found);
        require(last.resume() == 20, "death at change " + std::to_string(k));
      }
    });
  }
}

}  // namespace
