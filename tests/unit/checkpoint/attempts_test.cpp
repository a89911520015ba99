// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "support/volatile_files.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/one_attempt.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace {

using namespace trireme;
using testing::has;
using testing::OneAttempt;
using testing::require;
using testing::SharedByRanks;
using testing::VolatileFiles;

using Paths = std::vector<std::string>;

Paths paths_of(const VolatileFiles& files) {
  Paths paths;
  for (const auto& [path, bytes] : files.contents()) paths.push_back(path);
  return paths;
}

std::unique_ptr<VolatileFiles> disk_of(VolatileFiles::Kind kind) { return std::make_unique<VolatileFiles>(kind); }

struct Meeting {
  int ranks = 1;
  VolatileFiles::Kind kind = VolatileFiles::Kind::disk;
  bool b_saves = false;
};

/// What attempt B did, in the midst of a save of attempt A.
struct AttemptB {
  std::uint64_t resumed = 0;
  std::string name;
};

AttemptB live_as_b(VolatileFiles& files, bool saves) {
  AttemptB b;
  testing::run_ranks(1, [&](World& world) {
    OneAttempt attempt(world, files, {.keep_last = 2});
    b.resumed = attempt.resume();
    b.name = text_of(attempt.folder().attempt());
    attempt.folder().tidy();
    // The step that A saves too, of another state.
    if (saves) require(attempt.save(20, 2020).is_complete, "B saves");
  });
  return b;
}

/// A saves step 20 upon step 10, and B begins before its n-th call to the files. False when A needs fewer calls.
bool meet(World& world, SharedByRanks<VolatileFiles>& disks, const Meeting& how, std::uint64_t n) {
  const bool is_disk = how.kind == VolatileFiles::Kind::disk;
  const std::string where = "B begins before call " + std::to_string(n);
  VolatileFiles& files = disks.make(world, [&] { return disk_of(how.kind); });
  OneAttempt a(world, files, {.keep_last = 1});
  a.must_save(10);
  std::optional<AttemptB> b;
  if (world.rank() == 0) files.at_call(n, [&, &b = b] { b = live_as_b(files, how.b_saves); });
  world.communicator().barrier();
  Error refusal;
  bool is_complete = false;
  try {
    is_complete = a.save(20).is_complete;
  } catch (const Exception& failure) {
    refusal = failure.error();
  }
  // What rank 0 knows of B, for all.
  const std::string known = b ? std::to_string(b->resumed) + " " + b->name : "";
  const auto told = world.communicator().broadcast_bytes(std::as_bytes(std::span(known)), 0);
  const std::string text(reinterpret_cast<const char*>(told.data()), told.size());
  if (text.empty()) {
    require(is_complete, "nobody came between: A is complete");
    return false;
  }
  const std::uint64_t b_resumed = std::stoull(text);
  if (is_complete) {
    require(b_resumed == 20, where + ": A committed before, so B sees it");
  } else {
    require(refusal.code == ErrorCode::closed, where + ": A is refused: " + refusal.message);
    require(has(refusal.message, text.substr(text.find(' ') + 1)), where + ": " + refusal.message + " names B");
    require(b_resumed == 10 || !is_disk, where + ": what A had not committed B does not see");
  }
  OneAttempt c(world, files);
  const std::uint64_t c_resumed = c.resume();
  if (how.b_saves) {
    require(c_resumed == 20 && c.salt() == 2020, where + ": C goes on from B's");
  } else if (is_disk) {
    require(c_resumed == b_resumed && c.salt() == c_resumed, where + ": C goes on from what B went on from");
  } else {
    // An object store cannot refuse a name that another takes at the same instant: A's may stand, though A was told no.
    require((c_resumed == 10 || c_resumed == 20) && c.salt() == c_resumed, where + ": C goes on from one of A's");
  }
  return true;
}

TEST_CASE("Of two attempts on one folder the later one goes on, whenever it begins") {
  testing::RunRanksOptions options;
  options.world.timeout = std::chrono::seconds(20);
  for (const auto kind : {VolatileFiles::Kind::disk, VolatileFiles::Kind::object_store}) {
    for (const int ranks : {1, 2}) {
      for (const bool b_saves : {false, true}) {
        if (ranks == 2 && kind == VolatileFiles::Kind::object_store) continue;  // nothing new
        SharedByRanks<VolatileFiles> disks;
        std::atomic<std::uint64_t> calls{0};
        testing::run_ranks(
            ranks,
            [&](World& world) {
              std::uint64_t n = 0;
              while (meet(world, disks, {.ranks = ranks, .kind = kind, .b_saves = b_saves}, n)) n += testing::stride;
              if (world.rank() == 0) calls = n;
            },
            options);
        CHECK(calls > 30);
      }
    }
  }
}

/// Something an old attempt does before every call of a new attempt's save, one call at a time.
void interfere(const std::function<void(OneAttempt& old, VolatileFiles& files)>& prepare,
               const std::function<void(OneAttempt& old)>& act) {
  testing::run_ranks(1, [&](World& world) {
    bool acted = true;
    for (std::uint64_t n = 0; acted; n += testing::stride) {
      VolatileFiles files;
      OneAttempt old(world, files);
      old.must_save(10);
      prepare(old, files);
      acted = false;
      files.at_call(n, [&] {
        acted = true;
        act(old);
      });
      OneAttempt later(world, files);
      const bool before_claim = acted;
      later.resume();
      const auto report = later.save(20, 2020);
      require(report.is_complete, "the later attempt's save, met at call " + std::to_string(n) + ": " + report.problem);
      OneAttempt last(world, files);
      require(last.resume() == 20, "it is resumed");
      require(last.salt() == 2020 || before_claim, "and is the later attempt's");
    }
  });
}

TEST_CASE("An attempt that is tidying up takes nothing from a later one that is writing") {
  interfere([](OneAttempt&, VolatileFiles&) {}, [](OneAttempt& old) { old.folder().tidy(); });
}

TEST_CASE("An attempt that is refused takes nothing from a later one that saves the same step") {
  const auto write = [](OneAttempt& old, VolatileFiles& files) {
    std::atomic<bool> is_written{false};
    files.fail_when([&](const std::string& what, const std::string& path) {
      if (what == "sync" && path == VolatileFiles::root) is_written = true;  // the last thing a rank does for its part
      return false;
    });
    old.begin(20);
    while (!is_written) std::this_thread::yield();
    files.fail_when({});
  };
  interfere(write, [](OneAttempt& old) {
    try {
      old.finish();
    } catch (const Exception& failure) {
      require(failure.error().code == ErrorCode::closed, failure.error().message);
    }
  });
}

TEST_CASE("Another job's folder is refused before anything in it changes") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    OneAttempt(world, files).must_save(10);
    const auto before = files.contents();
    const auto accept = [](const checkpoint::Manifest& newest) {
      require(newest.step == 10, "the newest is shown");
      fail(ErrorCode::invalid_argument, "that is another job's");
    };
    const Error error = testing::error_of([&] { OneAttempt(world, files, {}, accept); });
    require(error.code == ErrorCode::invalid_argument && has(error.message, "another job's"), error.message);
    require(files.contents() == before, "nothing has changed");
  });
}

TEST_CASE("Who cannot go on stops nobody: a refusal comes before the folder is taken over") {
  VolatileFiles files;
  testing::run_ranks(2, [&](World& world) {
    const auto open = [&](std::function<void(const checkpoint::Manifest&)> accept) {
      return checkpoint::Folder::open(world.communicator(), files,
                                      {.path = VolatileFiles::root, .accept = std::move(accept)});
    };
    OneAttempt running(world, files);
    running.must_save(10);
    // A state of another form.
    std::vector<float> other(3);
    std::vector<Parameter> parameters{{"other", {3}, std::span(other), TensorView()}};
    checkpoint::ParameterState part(parameters);
    const checkpoint::TrainingState state{{"toy", part}};
    auto folder = open({});
    require(testing::code_of([&] { folder.resume(state); }) == ErrorCode::invalid_argument, "another form is refused");
    // Another job that saves between the look at open() and resume() is refused there.
    int asked = 0;
    auto late = open([&](const checkpoint::Manifest&) {
      if (++asked > 1) fail(ErrorCode::invalid_argument, "that is another job's");
    });
    require(testing::code_of([&] { late.resume(state); }) == ErrorCode::invalid_argument, "another job is refused");
    require(testing::code_of([&] { late.attempt(); }) == ErrorCode::invalid_argument, "nothing is taken over");
    running.must_save(20);
    OneAttempt next(world, files);
    require(next.resume() == 20, "the running job was not disturbed");
    require(testing::code_of([&] { running.save(30); }) == ErrorCode::closed, "until it was");
  });
}

TEST_CASE("A folder that has lost its journal is refused, not begun anew") {
  VolatileFiles files;
  testing::run_ranks(2, [&](World& world) {
    OneAttempt(world, files).must_save(10);
    world.communicator().barrier();
    if (world.rank() == 0) {
      for (const auto& [path, bytes] : files.contents()) {
        if (has(path, "/journal/")) files.remove(path);
      }
    }
    world.communicator().barrier();
    const Error error = testing::error_of([&] {
      auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
      folder.complete();
    });
    require(error.code == ErrorCode::invalid_argument && has(error.message, "journal is gone"), error.message);
  });
}

TEST_CASE("What cannot be read at this moment is no reason to go on from an older checkpoint") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    OneAttempt(world, files).must_save(10);
    OneAttempt(world, files).must_save(20);
    bool failed = true;
    for (std::uint64_t n = 0; failed; n += testing::stride) {
      const auto copy = files.clone();
      OneAttempt attempt(world, *copy);
      failed = false;
      copy->at_call(n, [&] {
        failed = true;
        fail(ErrorCode::system, "Input/output error");
      });
      std::uint64_t step = 0;
      const ErrorCode code = testing::code_of([&] { step = attempt.resume(); });
      require(code == ErrorCode::none ? step == 20 : code == ErrorCode::system,
              "call " + std::to_string(n) + " fails: " + std::to_string(step));
    }
    require(OneAttempt(world, files).resume() == 20, "and nothing is lost");
  });
}

/// Folders of two hosts, filled from each other's files or not.
std::vector<std::unique_ptr<VolatileFiles>> hosts_with_steps(const std::vector<std::uint64_t>& steps) {
  std::vector<std::unique_ptr<VolatileFiles>> hosts;
  for (int i = 0; i < 2; ++i) hosts.push_back(std::make_unique<VolatileFiles>());
  testing::run_ranks(2, [&](World& world) {
    OneAttempt attempt(world, *hosts[static_cast<std::size_t>(world.rank())]);
    require(!attempt.folder().is_shared(), "the ranks see folders of their own");
    for (const std::uint64_t step : steps) attempt.must_save(step);
  });
  return hosts;
}

std::string refusal_on(std::vector<std::unique_ptr<VolatileFiles>>& hosts, bool swapped) {
  std::string refusal;
  testing::run_ranks(2, [&](World& world) {
    OneAttempt attempt(world, *hosts[static_cast<std::size_t>(swapped ? 1 - world.rank() : world.rank())]);
    const Error error = testing::error_of([&] { attempt.resume(); });
    require(error.code == ErrorCode::invalid_argument, "hosts that do not see all are refused: " + error.message);
    if (world.rank() == 0) refusal = error.message;
  });
  return refusal;
}

TEST_CASE("Folders per host: filled from all hosts' files in any order they resume") {
  auto hosts = hosts_with_steps({10, 20});
  for (const bool backwards : {false, true}) {
    std::vector<std::unique_ptr<VolatileFiles>> filled;
    for (int i = 0; i < 2; ++i) {
      filled.push_back(std::make_unique<VolatileFiles>());
      for (const std::size_t from : backwards ? std::vector<std::size_t>{1, 0} : std::vector<std::size_t>{0, 1}) {
        for (const auto& [path, bytes] : hosts[from]->contents()) filled.back()->put(path, bytes);
      }
    }
    for (const int ranks : {1, 2}) {
      testing::run_ranks(ranks, [&](World& world) {
        OneAttempt attempt(world, *filled[static_cast<std::size_t>(world.rank())]);
        require(attempt.resume() == 20 && attempt.salt() == 20, "the newest is resumed");
        attempt.folder().tidy();
        require(attempt.resume() == 20, "and is still there");
      });
    }
  }
}

TEST_CASE("Folders per host: attempts that did not see each other stand side by side when filled together") {
  // Numbers of the journal are taken twice: the names of the attempts keep them apart.
  auto one = hosts_with_steps({10}), other = hosts_with_steps({10, 20});
  VolatileFiles filled;
  for (const auto* hosts : {&one, &other}) {
    for (const auto& host : *hosts) {
      for (const auto& [path, bytes] : host->contents()) {
        REQUIRE(filled.contents().count(path) == 0);
        filled.put(path, bytes);
      }
    }
  }
  testing::run_ranks(1, [&](World& world) {
    OneAttempt attempt(world, filled, {.keep_last = 1});
    const std::uint64_t step = attempt.resume();
    require((step == 20 || step == 10) && attempt.salt() == step, "one of them is resumed, whole");
    attempt.must_save(30);
    OneAttempt next(world, filled);
    require(next.resume() == 30, "and one goes on");
  });
}

TEST_CASE("Folders per host: hosts that see only their own files are told what is missing where") {
  auto hosts = hosts_with_steps({10, 20});
  const std::string told = refusal_on(hosts, false);
  CHECK(has(told, "on rank 0"));
  CHECK(has(told, "rank-1-of-2.safetensors is missing"));
  auto others = hosts_with_steps({10, 20});
  CHECK(has(refusal_on(others, true), "on rank 0 there is no manifest of it"));
  // The manifests alone do not help: parts are missing.
  auto without = hosts_with_steps({10});
  for (const auto& [path, bytes] : without[0]->contents()) {
    if (has(path, "/journal/") || has(path, ".json")) without[1]->put(path, bytes);
  }
  const std::string refusal = refusal_on(without, false);
  CHECK(has(refusal, "rank-1-of-2.safetensors is missing"));
  CHECK(has(refusal, "on rank 0"));
}

TEST_CASE("Folders per host: tidying up spares parts that only another rank's journal names") {
  auto hosts = hosts_with_steps({10});
  const Paths before = paths_of(*hosts[1]);
  testing::run_ranks(2, [&](World& world) {
    OneAttempt attempt(world, *hosts[static_cast<std::size_t>(world.rank())]);
    attempt.folder().tidy();
  });
  CHECK(paths_of(*hosts[1]) == before);
}

TEST_CASE("Folders per host: what is removed as too old goes on every host") {
  auto hosts = hosts_with_steps({10, 20, 30});
  for (const auto& host : hosts) {
    for (const std::string& path : paths_of(*host)) CHECK_FALSE(has(path, "step-00000010"));
  }
}

TEST_CASE("A step that went on cannot be saved again, and what is complete stays") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    OneAttempt attempt(world, files);
    attempt.must_save(20);
    attempt.must_save(30);
    require(testing::code_of([&] { attempt.begin(20); }) == ErrorCode::invalid_argument, "an earlier step is refused");
    const auto before = files.contents();
    // Another saver of this attempt finds the names taken.
    checkpoint::Saver saver(attempt.folder());
    auto toy = testing::ToyState::small(0, 1);
    checkpoint::TrainingState state;
    state.add("toy", toy);
    saver.save(20, state);
    const auto report = saver.finish();
    require(report && !report->is_complete && has(report->problem, "create"), "it is told so");
    require(files.contents() == before, "nothing of what is complete has changed");
  });
}

TEST_CASE("A saver that ends in the midst of a save leaves nothing of it, or all") {
  testing::run_ranks(1, [&](World& world) {
    VolatileFiles files;
    {
      OneAttempt attempt(world, files);
      attempt.must_save(10);
      attempt.begin(20);
    }
    for (const std::string& path : paths_of(files)) require(!has(path, "step-00000020"), path + " is left");
    OneAttempt next(world, files);
    require(next.resume() == 10, "the one before is resumed");
  });
}

}  // namespace
