// SPDX-License-Identifier: Apache-2.0
// State of owned parts in files: a disk that is full on one rank.
#include "ranks.hpp"
#include "support/full_disk.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/optim/adamw.hpp"
#include "zero_field.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <string>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// The error of `call` on this rank, while files of no rank can grow beyond 64 KiB: room for the small tensor's state, not for the
/// large one's.
template <class Call>
Error error_on_full_disk(World& world, const Call& call) {
  std::optional<FullDisk> full;
  Error error;
  world.communicator().barrier();
  if (world.rank() == 0) full.emplace(65536);
  world.communicator().barrier();
  try {
    call();
  } catch (const Exception& exception) {
    error = exception.error();
  }
  world.communicator().barrier();
  full.reset();
  world.communicator().barrier();
  return error;
}

}  // namespace

TEST_CASE("a disk that is full on one rank is one error on all, naming rank and folder, before anything has changed") {
  const int stage = GENERATE(1, 2);
  const TemporaryFolder folder;
  Complaints complaints(3);
  std::vector<std::string> messages(3);
  int owner = -1;
  run_ranks(3, [&](World& world) {
    const int rank = world.rank();
    Field<float> model({100000, 100});
    AdamW optimizer({.learning_rate = 0.01});
    optimizer.offload({.folder = folder.path()});
    DataParallel data_parallel(
        world.communicator(), model.parameters(),
        {.zero_stage = stage, .zero_whole_tensors = true, .deadline = std::chrono::milliseconds(20000)});
    if (data_parallel.owned(0).size() != 0) owner = rank;
    DistributedSampler sampler({.count = 24, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (const std::size_t p : {1, 0}) {
          if (p == 0 && step.index() == 0) continue;  // used from the second step on
          model.backward(p, shard.samples());
          shard.ready(p);
        }
      }
      step.reduce();
      if (step.index() != 1) {
        complaints.expect(rank, step.apply(optimizer) == ApplyOutcome::applied, "applied");
        continue;
      }
      const std::string before = model.bytes();
      const auto file_bytes = optimizer.offloaded().file_bytes;
      const Error error = error_on_full_disk(world, [&] { step.apply(optimizer); });
      messages[static_cast<std::size_t>(rank)] = error.message;
      complaints.expect(rank, error.code == ErrorCode::system, "the code of the rank at fault");
      complaints.expect(rank, model.bytes() == before, "values have changed");
      complaints.expect(rank, optimizer.states().size() == 1 && optimizer.states().count("parameter1") == 1, "states");
      complaints.expect(rank, optimizer.states().at("parameter1").steps == 1, "a step was counted");
      complaints.expect(rank, optimizer.offloaded().file_bytes == file_bytes, "room was kept");
    }
    complaints.expect(rank, optimizer.states().at("parameter0").steps == 2, "training went on");
  });
  CAPTURE(stage, messages);
  REQUIRE(complaints.all() == "");
  for (const std::string& message : messages) {
    REQUIRE_THAT(message, Catch::Contains("rank " + std::to_string(owner)) && Catch::Contains(folder.path()) &&
                              Catch::Contains("no room"));
    REQUIRE(message == messages[0]);
  }
}
