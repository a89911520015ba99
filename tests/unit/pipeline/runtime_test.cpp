// SPDX-License-Identifier: Apache-2.0
// One runtime runs every schedule: the bits of the whole chain on one rank; what cannot work is refused on all ranks alike.
#include "trireme/pipeline/runtime.hpp"

#include "chain.hpp"
#include "pipeline_run.hpp"
#include "support/failures.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/schedule_text.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::pipeline;
using testing::Chain;
using testing::ChainStage;
using testing::has_chain_gradient;
using testing::pointers;
using testing::run_ranks;
using testing::run_ranks_collecting;
using testing::stages_here;

namespace {

struct RuntimeCase {
  const char* name;
  int chunks;
};

/// What the ranks found wrong, by rank: Catch's assertions are not for several threads.
template <class Body>
std::string findings(int ranks, const Body& body, const std::string& transport = "mem") {
  std::vector<std::string> found(static_cast<std::size_t>(ranks));
  run_ranks(ranks, [&](World& world) { body(world, found[static_cast<std::size_t>(world.rank())]); },
            {.transport = transport});
  std::string all;
  for (const std::string& each : found) all += each;
  return all;
}

/// What each rank of two throws.
template <class Body>
std::vector<Error> errors_of(int ranks, const Body& body) {
  std::vector<Error> errors;
  for (const auto& thrown : run_ranks_collecting(ranks, body)) {
    errors.push_back(testing::error_of([&] {
      if (thrown) std::rethrow_exception(thrown);
    }));
  }
  return errors;
}

}  // namespace

TEST_CASE("every schedule gives the gradients of the whole chain on one rank, bit for bit") {
  const std::array cases{RuntimeCase{"gpipe", 1},       RuntimeCase{"1f1b", 1},  RuntimeCase{"interleaved", 2},
                         RuntimeCase{"interleaved", 3}, RuntimeCase{"zb-h1", 1}, RuntimeCase{"zb-v", 2}};
  for (int ranks = 1; ranks <= 4; ++ranks) {
    const std::string found = findings(ranks, [&](World& world, std::string& mine) {
      for (const RuntimeCase& each : cases) {
        const Chain chain(ranks * each.chunks, 3);
        for (int micro_batches = 1; micro_batches <= 9; ++micro_batches) {
          const std::vector<double> expected = testing::chain_gradient(chain, micro_batches);
          const Schedule schedule = make_schedule(each.name, {ranks, micro_batches, each.chunks});
          if (!has_chain_gradient(world, schedule, chain, 1, expected))
            mine += std::string(each.name) + " on " + std::to_string(ranks) + " ranks, " +
                    std::to_string(micro_batches) + " micro-batches; ";
        }
      }
    });
    CHECK(found.empty());
    if (!found.empty()) WARN(found);
  }
}

TEST_CASE("steps follow each other without a barrier, with messages large and small, on every transport") {
  const std::string transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const std::size_t rows = GENERATE(as<std::size_t>{}, 2, 400);  // 400: up to 16 KB and more a message
  const std::string found = findings(
      3,
      [&](World& world, std::string& mine) {
        for (const RuntimeCase& each :
             {RuntimeCase{"1f1b", 1}, RuntimeCase{"interleaved", 2}, RuntimeCase{"zb-v", 2}}) {
          const Chain chain(3 * each.chunks, rows);
          if (!has_chain_gradient(world, make_schedule(each.name, {3, 5, each.chunks}), chain, 4,
                                  testing::chain_gradient(chain, 5, 4)))
            mine += std::string(each.name) + "; ";
        }
      },
      transport);
  CHECK(found == "");
}

TEST_CASE("a user's schedule runs: stages dealt as the text says") {
  // Stages 0 and 1 on rank 1, stage 2 on rank 0; the last micro-batch's forward goes first.
  const Schedule schedule = parse_schedule(
      "rank 0: 2F1 2F0 2I0 2I1 2W0 2W1\n"
      "rank 1: 0F1 1F1 0F0 1F0 1B0 0I0 1B1 0I1 0W0 0W1\n",
      "text");
  const Chain chain(3, 4);
  CHECK(findings(2, [&](World& world, std::string& mine) {
          if (!has_chain_gradient(world, schedule, chain, 3, testing::chain_gradient(chain, 2, 3))) mine = "wrong";
        }) == "");
}

TEST_CASE("a runtime's memory is bounded by the live micro-batches, not by all") {
  const Chain chain(2, 4);
  std::array<std::uint64_t, 2> few{}, many{};
  for (const bool all : {false, true}) {
    run_ranks(2, [&](World& world) {
      const Schedule schedule = one_forward_one_backward(2, all ? 50 : 5);
      const auto stages = stages_here(chain, check(schedule), world.rank());
      const Runtime runtime(world.communicator(), schedule, pointers(stages), {.boundaries = chain.boundaries()});
      (all ? many : few)[static_cast<std::size_t>(world.rank())] = runtime.buffer_bytes().value;
      if (runtime.slots(0) != 2 || runtime.slots(1) != 1) fail(ErrorCode::corrupt, "slots");
    });
  }
  CHECK(few == many);
  // Rank 0: two outputs and two gradients (one at hand, one posted); rank 1: two inputs and two gradients under way.
  CHECK(many[0] <= 4 * 128 * ((4 * chain.width(1) * sizeof(double) + 127) / 128));
}

TEST_CASE("what one rank refuses, all refuse, with its words, before a step") {
  const Chain chain(2, 2);
  const auto heard = [&](const auto& body, ErrorCode code, const std::string& part) {
    for (const Error& error : errors_of(2, body)) {
      INFO(error.message);
      CHECK(error.code == code);
      CHECK(testing::has(error.message, part));
    }
  };
  const auto make = [&](World& world, const Schedule& schedule, bool splits, std::vector<Boundary> boundaries,
                        std::size_t count) {
    std::vector<std::unique_ptr<ChainStage>> stages;
    while (stages.size() < count) stages.push_back(std::make_unique<ChainStage>(chain, world.rank(), 9, splits));
    Runtime runtime(world.communicator(), schedule, pointers(stages), {.boundaries = std::move(boundaries)});
    runtime.run();
  };
  heard([&](World& world) { make(world, zero_bubble_h1(2, 3), world.rank() == 0, chain.boundaries(), 1); },
        ErrorCode::unsupported,
        "rank 1 refuses its pipeline: stage 1 cannot split its backward, and the schedule asks for it (1I0)");
  heard([&](World& world) { make(world, gpipe(2, 3), true, chain.boundaries(), world.rank() == 0 ? 2 : 1); },
        ErrorCode::invalid_argument,
        "rank 0 refuses its pipeline: 2 stages are given, the schedule has 1 on this rank");
  heard([&](World& world) { make(world, gpipe(3, 3), true, chain.boundaries(), 1); }, ErrorCode::invalid_argument,
        "a schedule of 3 ranks on a communicator of 2");
  heard(
      [&](World& world) {
        ChainStage stage(chain, world.rank(), 9);
        const std::array<Stage*, 1> one{&stage};
        Runtime(world.communicator(), gpipe(2, 9), one, {.boundaries = chain.boundaries(), .peak_limit = 8});
      },
      ErrorCode::invalid_argument, "rank 0 would hold the activations of 9 micro-batches at once, and the limit is 8");
  heard([&](World& world) { make(world, gpipe(2, 3), true, {}, 1); }, ErrorCode::invalid_argument,
        "0 boundaries between 2 stages");
  heard([&](World& world) { make(world, gpipe(2, 3 + world.rank()), true, chain.boundaries(), 1); },
        ErrorCode::mismatch, "rank 1 has another pipeline schedule, or other boundaries, than rank 0");
  heard(
      [&](World& world) {
        make(world, gpipe(2, 3), true, {{static_cast<std::size_t>(8 + world.rank()), DType::f64}}, 1);
      },
      ErrorCode::mismatch, "rank 1 has another pipeline schedule, or other boundaries");
  heard(
      [&](World& world) {
        make(world, parse_schedule("0F0 0B0 0F1 0B1\n1F0 1F1 1B0 1B1", "text"), true, chain.boundaries(), 1);
      },
      ErrorCode::invalid_argument, "rank 0 refuses its pipeline: schedule: it would deadlock");
}

namespace {

/// Throws in the given micro-batch's forward.
class FailingStage : public ChainStage {
 public:
  FailingStage(const Chain& chain, int stage, int slots, int at) : ChainStage(chain, stage, slots), at_(at) {}
  void forward(MicroBatch micro_batch, ConstTensorView input, TensorView output) override {
    if (micro_batch.index == at_) fail(ErrorCode::device, "this stage is broken");
    ChainStage::forward(micro_batch, input, output);
  }

 private:
  int at_;
};

}  // namespace

TEST_CASE("a stage that throws ends the step on all ranks long before a deadline") {
  const Chain chain(3, 2);
  const auto errors = errors_of(3, [&](World& world) {
    const Schedule schedule = one_forward_one_backward(3, 6);
    FailingStage stage(chain, world.rank(), 6, world.rank() == 1 ? 3 : -1);
    const std::array<Stage*, 1> stages{&stage};
    Runtime runtime(world.communicator(), schedule, stages, {.boundaries = chain.boundaries()});
    runtime.run();
  });
  CHECK(errors[1].message == "this stage is broken");
  for (const int other : {0, 2}) {
    INFO(errors[static_cast<std::size_t>(other)].message << " '" << errors[static_cast<std::size_t>(other)].label
                                                         << "'");
    CHECK(errors[static_cast<std::size_t>(other)].code == ErrorCode::device);
    CHECK(testing::has(errors[static_cast<std::size_t>(other)].message,
                       "pipeline action 1F3 failed: this stage is broken"));
    CHECK(errors[static_cast<std::size_t>(other)].peer_rank == 1);
  }
}

TEST_CASE("stages that throw at the same moment all end the world, with one cause for all ranks") {
  const Chain chain(3, 2);
  std::atomic<int> here{0};
  std::array<Error, 3> own, agreed;
  testing::run_ranks(3, [&](World& world) {
    /// Throws in its first forward, when every rank is there.
    class Together : public ChainStage {
     public:
      Together(const Chain& chain, int stage, std::atomic<int>& here) : ChainStage(chain, stage, 1), here_(here) {}
      void forward(MicroBatch, ConstTensorView, TensorView) override {
        here_.fetch_add(1);
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (here_.load() < 3 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
        fail(ErrorCode::corrupt, "all are broken");
      }

     private:
      std::atomic<int>& here_;
    };
    // A pipeline of one each: nobody's first forward waits for another.
    Communicator alone = *world.communicator().split(world.rank(), 0);
    Together stage(chain, world.rank(), here);
    const std::array<Stage*, 1> stages{&stage};
    Runtime runtime(alone, one_forward_one_backward(1, 1), stages, {});
    const auto rank = static_cast<std::size_t>(world.rank());
    try {
      runtime.run();
    } catch (const Exception& exception) {
      own[rank] = exception.error();
    }
    agreed[rank] = world.failure().value_or(Error{});
    try {
      world.communicator().barrier();
      agreed[rank] = {};
    } catch (const Exception&) {  // as every later call
    }
  });
  for (std::size_t rank = 0; rank < 3; ++rank) {
    INFO(agreed[rank].message);
    CHECK(own[rank].message == "all are broken");
    CHECK(agreed[rank].code == ErrorCode::corrupt);
    CHECK(testing::has(agreed[rank].message, "pipeline action 0F0 failed: all are broken"));
    CHECK(agreed[rank].message == agreed[0].message);
  }
}

TEST_CASE("a stage that throws on a pipeline axis of one ends the waits of other axes") {
  const Chain chain(1, 2);
  const auto errors = errors_of(2, [&](World& world) {
    Communicator alone = *world.communicator().split(world.rank(), 0);
    FailingStage stage(chain, 0, 1, 0);
    const std::array<Stage*, 1> stages{&stage};
    Runtime runtime(alone, one_forward_one_backward(1, 1), stages, {});
    if (world.rank() == 1) return world.communicator().barrier({.deadline = std::chrono::seconds(30)});
    runtime.run();
  });
  CHECK(errors[0].message == "this stage is broken");
  CHECK(errors[1].code == ErrorCode::device);
  CHECK(testing::has(errors[1].message, "rank 0"));
  CHECK(testing::has(errors[1].message, "pipeline action 0F0 failed: this stage is broken"));
}

TEST_CASE("a rank that leaves is named, with the stage and micro-batch that were waited for") {
  const Chain chain(2, 2);
  const auto errors = errors_of(2, [&](World& world) {
    const Schedule schedule = one_forward_one_backward(2, 4);
    ChainStage stage(chain, world.rank(), 4);
    const std::array<Stage*, 1> stages{&stage};
    Runtime runtime(world.communicator(), schedule, stages, {.boundaries = chain.boundaries()});
    if (world.rank() == 1) return;
    runtime.run();
  });
  INFO(errors[0].message << " '" << errors[0].label << "'");
  CHECK((errors[0].code == ErrorCode::closed || errors[0].code == ErrorCode::peer_lost));
  CHECK(testing::has(errors[0].message, "rank 1"));
  CHECK(testing::has(errors[0].label, "stage 0 micro-batch 0 gradient"));
}

TEST_CASE("a rank that is late misses the deadline of a message, which names stage and micro-batch") {
  const Chain chain(2, 2);
  const auto errors = errors_of(2, [&](World& world) {
    const Schedule schedule = one_forward_one_backward(2, 4);
    ChainStage stage(chain, world.rank(), 4);
    const std::array<Stage*, 1> stages{&stage};
    Runtime runtime(
        world.communicator(), schedule, stages,
        {.boundaries = chain.boundaries(), .deadline = std::chrono::milliseconds(world.rank() == 0 ? 60 : 60000)});
    if (world.rank() == 1) {  // waits for what never comes, elsewhere
      std::array<int, 1> nothing{};
      world.communicator().recv(std::span<int>(nothing), 0);
    }
    runtime.run();
  });
  INFO(errors[0].message << " '" << errors[0].label << "'");
  CHECK(errors[0].code == ErrorCode::timeout);
  CHECK(testing::has(errors[0].message, "rank 1"));
  CHECK(errors[1].code != ErrorCode::none);
}
