// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/volatile_files.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/one_attempt.hpp"

#include <catch2/catch.hpp>

#include <chrono>

namespace {

using namespace trireme;
using testing::has;
using testing::OneAttempt;
using testing::require;
using testing::SharedByRanks;
using testing::VolatileFiles;

std::vector<std::string> files_of(const VolatileFiles& files) {
  std::vector<std::string> paths;
  for (const auto& [path, bytes] : files.contents()) paths.push_back(path);
  return paths;
}

TEST_CASE("A full disk costs a save, and nothing else") {
  testing::RunRanksOptions options;
  options.world.timeout = std::chrono::seconds(20);
  for (const auto kind : {VolatileFiles::Kind::disk, VolatileFiles::Kind::object_store}) {
    for (const int ranks : {1, 2}) {
      SharedByRanks<VolatileFiles> disks;
      testing::run_ranks(
          ranks,
          [&](World& world) {
            VolatileFiles& files = disks.make(world, [&] { return std::make_unique<VolatileFiles>(kind); });
            OneAttempt attempt(world, files);
            attempt.must_save(10);
            std::uint64_t step = 20, failed = 0;
            for (std::uint64_t room = 0;; room += 61) {
              world.communicator().barrier();
              const auto before = files_of(files);
              world.communicator().barrier();
              if (world.rank() == 0) files.limit_space(room);
              world.communicator().barrier();
              const auto report = attempt.save(step);
              world.communicator().barrier();
              if (report.is_complete) break;
              ++failed;
              require(has(report.problem, "rank ") && has(report.problem, "No space left"), report.problem);
              require(report.step == step, "it says which");
              require(files_of(files) == before,
                      "nothing is left of it with room for " + std::to_string(room) + " bytes");
              world.communicator().barrier();
              if (world.rank() == 0) files.limit_space(std::nullopt);
              world.communicator().barrier();
              // The same step, or the next: both can be saved once there is room.
              if (room % 2 == 0) step += 10;
              attempt.must_save(step);
              step += 10;
            }
            require(failed > 20, "there was room too early");
            if (world.rank() == 0) files.limit_space(std::nullopt);
            world.communicator().barrier();
            OneAttempt next(world, files);
            require(next.resume() == step, "the last one is resumed");
          },
          options);
    }
  }
}

/// The step resumed after a save of 20 upon 10 during which the changes that `fails` names fail once, and what was said of it.
std::pair<std::uint64_t, checkpoint::SaveReport> after_failure(
    const std::function<bool(const std::string& what, const std::string& path)>& fails, std::uint64_t keep_last) {
  std::pair<std::uint64_t, checkpoint::SaveReport> result;
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    OneAttempt attempt(world, files, {.keep_last = keep_last});
    attempt.must_save(10);
    files.fail_when(fails);
    result.second = attempt.save(20);
    files.fail_when({});
    OneAttempt next(world, files);
    result.first = next.resume();
  });
  return result;
}

TEST_CASE("What goes wrong once a checkpoint is complete takes nothing from it") {
  SECTION("older ones cannot be removed") {
    for (const std::string part : {"journal/00000002", "step-00000010/"}) {
      const auto [step, report] = after_failure(
          [&](const std::string& what, const std::string& path) { return what == "remove" && has(path, part); }, 1);
      CHECK(step == 20);
      CHECK(report.is_complete);
      CHECK(has(report.problem, "older checkpoints could not be removed"));
    }
  }
  SECTION("a draft cannot be removed") {
    std::uint64_t removals = 0;
    const auto [step, report] = after_failure(
        [&](const std::string& what, const std::string& path) {
          return what == "remove" && has(path, "draft") && ++removals == 2;
        },
        2);
    CHECK(step == 20);
    CHECK(report.is_complete);
  }
  SECTION("its name in the journal cannot be synced: nobody can say, so nothing is removed") {
    const auto [step, report] = after_failure(
        [](const std::string& what, const std::string& path) { return what == "sync" && path.ends_with("/journal"); },
        2);
    CHECK(step == 20);
    CHECK_FALSE(report.is_complete);
  }
}

TEST_CASE("A rank that cannot begin to save does not leave the others waiting") {
  testing::RunRanksOptions options;
  options.world.timeout = std::chrono::seconds(20);
  SharedByRanks<VolatileFiles> disks;
  testing::run_ranks(
      2,
      [&](World& world) {
        class Unwilling final : public checkpoint::Stateful {
         public:
          explicit Unwilling(bool fails) : fails_(fails) {}
          void save(checkpoint::StateWriter&) const override {
            if (fails_) fail(ErrorCode::unsupported, "not from here");
          }
          void restore(checkpoint::StateReader&) override {}

         private:
          bool fails_;
        };
        VolatileFiles& files = disks.make(world, [] { return std::make_unique<VolatileFiles>(); });
        OneAttempt attempt(world, files);
        checkpoint::Saver saver(attempt.folder());
        Unwilling part(world.rank() == 1);
        checkpoint::TrainingState state;
        state.add("part", part);
        const Error error = testing::error_of([&] { saver.save(5, state); });
        require(error.code == ErrorCode::unsupported && has(error.message, "rank 1"),
                "both are told: " + error.message);
        attempt.must_save(10);
      },
      options);
}

/// A storage that repeats a request: the second time a link finds the name taken, by what the first time has put there.
class Repeating final : public checkpoint::FileSystem {
 public:
  explicit Repeating(VolatileFiles& files) : files_(files) {}
  void make_folder(const std::string& path) override { files_.make_folder(path); }
  std::vector<std::string> list(const std::string& folder) const override { return files_.list(folder); }
  std::optional<std::uint64_t> size(const std::string& path) const override { return files_.size(path); }
  std::unique_ptr<checkpoint::OutputFile> create(const std::string& path) override { return files_.create(path); }
  std::unique_ptr<checkpoint::InputFile> open(const std::string& path) const override { return files_.open(path); }
  std::optional<bool> link(const std::string& from, const std::string& to) override {
    files_.link(from, to);
    return files_.link(from, to);
  }
  void sync_folder(const std::string& folder) override { files_.sync_folder(folder); }
  bool remove(const std::string& path) override { return files_.remove(path); }
  bool remove_folder(const std::string& path) override { return files_.remove_folder(path); }

 private:
  VolatileFiles& files_;
};

TEST_CASE("A storage that repeats requests makes no checkpoint twice") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    Repeating repeating(files);
    {
      OneAttempt attempt(world, repeating, {.keep_last = 1});
      attempt.must_save(10);
      attempt.must_save(20);
    }
    require(files.list(std::string(VolatileFiles::root) + "/journal").size() == 2, "one claim, one manifest");
    // A journal that has one twice all the same.
    auto all = files.contents();
    const auto manifest = all.rbegin();
    for (const auto& [path, bytes] : all) {
      if (has(path, "/journal/00000003")) files.put(std::string(VolatileFiles::root) + "/journal/00000009", bytes);
    }
    require(manifest != all.rend(), "there are files");
    {
      OneAttempt attempt(world, files, {.keep_last = 2});
      require(attempt.resume() == 20, "it is resumed");
      attempt.must_save(30);
    }
    for (const auto& [path, bytes] : files.contents()) {
      if (has(path, "step-00000030")) files.remove(path);
    }
    OneAttempt last(world, files);
    require(last.resume() == 20, "the two that are kept are two checkpoints");
  });
}

}  // namespace
