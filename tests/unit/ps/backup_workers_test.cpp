// SPDX-License-Identifier: Apache-2.0
// Bulk-synchronous workers of which servers do not wait for all: those that are late, one step or many.
#include "served_ranks.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::testing;

namespace {

constexpr std::size_t count = 9000;  // several keys

/// A worker that takes its steps when it is told to, each with the same number as all of its gradient.
class ToldWorker {
 public:
  ToldWorker(World& world, const ServedRanks& served, int rank, bool overlap = false)
      : client_(served.connect(rank)),
        data_parallel_(std::make_unique<DataParallel>(
            world.communicator(), parameters(),
            DataParallelOptions{.synchronizer =
                                    ps::updating_synchronizer({.servers = {.client = client_, .plan = served.plan()},
                                                               .overlap_pull = overlap})})) {}

  std::vector<Parameter> parameters() { return {{"x", {count}, std::span<float>(x_), std::span<float>(gradient_)}}; }
  void step(float gradient, double clip_norm = 0.0) {
    if (at_) {
      ++*at_;
    } else {
      steps_ = data_parallel_->steps();
      at_ = steps_->begin();
    }
    for (Shard& shard : (**at_).shards()) {
      std::fill(gradient_.begin(), gradient_.end(), gradient);
      shard.ready(0);
    }
    const bool is_applied = (**at_).reduce() == StepOutcome::ready &&
                            (**at_).apply(optimizer_, {.clip_norm = clip_norm}) == ApplyOutcome::applied;
    if (!is_applied) throw std::logic_error("a step was not applied");  // Catch counts in one thread
  }
  const std::vector<float>& values() const { return x_; }
  std::uint64_t skipped() const { return client_->statistics().skipped_steps; }

 private:
  std::vector<float> x_ = std::vector<float>(count, 1.0f), gradient_ = std::vector<float>(count);
  Sgd optimizer_{SgdOptions{.learning_rate = 0.5}};
  std::shared_ptr<ps::Client> client_;
  std::unique_ptr<DataParallel> data_parallel_;
  std::optional<Steps> steps_;
  std::optional<Steps::Iterator> at_;
};

ServedRanks servers(std::uint32_t workers, std::uint32_t backup_workers, bool by_sockets) {
  static std::vector<float> x(count), gradient(count);
  const std::vector<Parameter> parameters{{"x", {count}, std::span<float>(x), std::span<float>(gradient)}};
  return {parameters,
          {.workers = workers,
           .backup_workers = backup_workers,
           .leaves = workers,
           .make_optimizer = [] { return std::make_unique<Sgd>(SgdOptions{.learning_rate = 0.5}); },
           .by_sockets = by_sockets}};
}

}  // namespace

TEST_CASE(
    "a backup worker that is late has its gradient dropped, takes the others' values, and goes on where they are") {
  for (const bool by_sockets : {false, true}) {
    CAPTURE(by_sockets);
    const ServedRanks served = servers(2, 1, by_sockets);
    run_ranks(1, [&](World& world) {
      ToldWorker fast(world, served, 0), late(world, served, 1);
      for (int step = 0; step < 5; ++step) fast.step(1.0f);
      CHECK(fast.values() == std::vector<float>(count, -1.5f));
      CHECK(served.dropped() == 0);

      late.step(1000.0f);  // the first, four behind
      CHECK(late.values() == fast.values());
      CHECK(late.skipped() == 4);
      const std::uint64_t keys = served.plan()->keys().size();
      CHECK(served.dropped() == keys);

      late.step(3.0f);  // the sixth: now the other one is late
      CHECK(late.values() == std::vector<float>(count, -3.0f));
      fast.step(1000.0f);
      CHECK(fast.values() == late.values());
      CHECK(served.dropped() == 2 * keys);
      CHECK(fast.skipped() == 0);
      CHECK(late.skipped() == 4);
    });
  }
}

TEST_CASE(
    "a backup worker that is slower than sums are kept for, and has heard of all of them, goes on where the others are") {
  for (const bool by_sockets : {false, true}) {
    CAPTURE(by_sockets);
    const ServedRanks served = servers(2, 1, by_sockets);
    run_ranks(1, [&](World& world) {
      ToldWorker fast(world, served, 0), late(world, served, 1);
      for (int step = 0; step < 530; ++step) fast.step(1.0f);
      late.step(1000.0f);
      CHECK(late.values() == fast.values());
      CHECK(late.skipped() == 529);
    });
  }
}

TEST_CASE("a step of backup workers is the mean over those that were in time, clipped by its norm") {
  const ServedRanks served = servers(3, 1, false);
  run_ranks(1, [&](World& world) {
    ToldWorker late(world, served, 2);
    // The two that are waited for need each other, the third needs nobody.
    std::vector<std::vector<float>> values(2);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < 2; ++rank) {
      threads.emplace_back([&, rank] {
        run_ranks(1, [&](World& own) {
          ToldWorker worker(own, served, rank);
          for (int step = 0; step < 3; ++step) worker.step(rank == 0 ? 1.0f : 3.0f);
          worker.step(rank == 0 ? 1.0f : 3.0f, 1.0);
          values[static_cast<std::size_t>(rank)] = worker.values();
        });
      });
    }
    for (auto& each : threads) each.join();
    CHECK(values[0] == values[1]);
    const double clipped = 1.0 / std::sqrt(static_cast<double>(count));
    CHECK(std::abs(values[0][0] - (1.0 - 3 * 1.0 - 0.5 * clipped)) < 1e-5);
    late.step(1000.0f);
    CHECK(late.values() == values[0]);
    CHECK(late.skipped() == 3);
  });
}

TEST_CASE("with values awaited as they are used, a late worker catches up a step later") {
  const ServedRanks served = servers(2, 1, false);
  run_ranks(1, [&](World& world) {
    ToldWorker fast(world, served, 0), late(world, served, 1, true);
    for (int step = 0; step < 5; ++step) fast.step(1.0f);
    late.step(1000.0f);
    late.step(1000.0f);
    CHECK(late.skipped() == 3);  // from its second step on
    late.step(3.0f);
    fast.step(1000.0f);
    CHECK(fast.values() == std::vector<float>(count, -3.0f));
  });
}
