// SPDX-License-Identifier: Apache-2.0
// When reductions start and what they send: counted, not timed.
#include "field.hpp"
#include "parallel/bucket_plan.hpp"
#include "ranks.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

/// Where threads wait for each other, outside the library.
class Meeting {
 public:
  explicit Meeting(int ranks) : ranks_(ranks) {}
  void arrive_and_wait() {
    std::unique_lock lock(mutex_);
    const int round = round_;
    if (++arrived_ == ranks_) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int ranks_;
  int arrived_ = 0;
  int round_ = 0;
};

/// How many operations whose label begins with `label` the flight recorder has.
std::size_t recorded(const Communicator& communicator, const std::string& label) {
  const std::string text = communicator.flight_recorder_json();
  const std::string key = "\"label\": \"" + label;
  std::size_t found = 0;
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) ++found;
  return found;
}

/// Whether the operation labelled `label` has ended; drives the world meanwhile, for half a minute at most.
bool drive_to_the_end(Communicator& communicator, const std::string& label) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < limit) {
    const std::string text = communicator.flight_recorder_json();
    const auto at = text.find("\"label\": \"" + label);
    if (at != std::string::npos && text.substr(at, text.find('}', at) - at).find("\"done\"") != std::string::npos)
      return true;
    communicator.progress();
    std::this_thread::yield();
  }
  return false;
}

const std::vector<std::size_t> overlap_counts{100, 16, 500, 33};

}  // namespace

TEST_CASE("with overlap a bucket is under way before the last gradient is ready; without it none is") {
  const bool overlap = GENERATE(true, false);
  const int ranks = GENERATE(1, 2, 3);
  const int leaves = GENERATE(0, 4);
  const bool only_leaf = ranks == 1 && leaves == 0;  // the mean itself: no bucket is sent
  Complaints complaints(ranks);
  Meeting meeting(ranks);
  run_ranks(ranks, [&](World& world) {
    Field<float> model(overlap_counts);
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.bucket_bytes = 64_B, .logical_shards = leaves, .overlap = overlap});
    auto communicator = data_parallel.communicator();
    DistributedSampler sampler({.count = 12, .global_batch = 12});
    for (auto& step : data_parallel.steps(sampler)) {
      const int last = leaves == 0 ? 0 : (ranks == 1 ? 3 : ranks == 2 ? 1 : world.rank() == 0 ? 1 : 0);
      int pass = 0;
      for (auto& shard : step.shards()) {
        const bool is_last = pass++ == last;
        for (std::size_t p = overlap_counts.size(); p-- > 0;) {
          model.backward(p, shard.samples());
          shard.ready(p);
          if (!is_last) {
            // Gradients are folded on this rank first: nothing is sent before the last pass.
            complaints.expect(world.rank(), recorded(communicator, "total weight") == 0,
                              "weights before the last pass");
            continue;
          }
          if (p == 3) {
            complaints.expect(world.rank(), recorded(communicator, "total weight") == 1,
                              "weights go with the first gradient");
            meeting.arrive_and_wait();
            complaints.expect(world.rank(), drive_to_the_end(communicator, "total weight"), "weights arrive");
          }
          const std::size_t under_way = recorded(communicator, "bucket ");
          // Known weights let every complete bucket start: three of four before the last gradient.
          if (p == 1)
            complaints.expect(world.rank(), under_way == (overlap && !only_leaf ? 3u : 0u),
                              std::to_string(under_way) + " under way");
        }
      }
      step.reduce();
      complaints.expect(world.rank(), recorded(communicator, "bucket ") == (only_leaf ? 0 : 4),
                        "all buckets in the end");
      complaints.expect(world.rank(), recorded(communicator, "ready counts") == 1, "counts");
    }
  });
  CAPTURE(overlap, ranks, leaves);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("buckets() names the parameters of each bucket in the order of reduction") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> model(overlap_counts);
    using Lists = std::vector<std::vector<std::size_t>>;
    const auto buckets = [&](Bytes first, Bytes rest) {
      return DataParallel(world.communicator(), model.parameters(), {.bucket_bytes = rest, .first_bucket_bytes = first})
          .buckets();
    };
    complaints.expect(world.rank(), buckets(1_MiB, 25_MiB) == Lists{{3, 2, 1, 0}}, "one");
    complaints.expect(world.rank(), buckets(256_B, 25_MiB) == Lists{{3}, {2, 1, 0}}, "a small first");
    complaints.expect(world.rank(), buckets(1_MiB, 512_B) == Lists{{3}, {2}, {1, 0}},
                      "a parameter larger than a bucket");
    complaints.expect(world.rank(), buckets(1_MiB, 64_B) == Lists{{3}, {2}, {1}, {0}}, "one each");
  });
  REQUIRE(complaints.all() == "");
}

namespace {

/// Payload bytes rank `rank` sends for an all-reduce of `count` elements of `size` bytes, as the algorithm promises.
std::size_t promised_bytes(const std::string& algorithm, int rank, int ranks, std::size_t count, std::size_t size) {
  if (ranks == 1) return 0;
  const auto block = [&](int r) {
    const auto parts = static_cast<std::size_t>(ranks), index = static_cast<std::size_t>(r % ranks);
    return (index + 1) * count / parts - index * count / parts;
  };
  if (algorithm == "direct") return (2 * count - block(rank) - block(rank + 1)) * size;
  std::size_t rounds = 0;
  while ((1 << rounds) < ranks) ++rounds;
  return rounds * count * size;  // recursive doubling
}

}  // namespace

TEST_CASE("a step sends the buckets and two small reductions, and not a byte more") {
  const auto algorithm = GENERATE(as<std::string>{}, "direct", "recursive_doubling");
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const int ranks = GENERATE(1, 2, 3, 4);
  const bool overlap = GENERATE(true, false);
  if (ranks == 3 && algorithm == "recursive_doubling") return;
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              auto communicator = world.communicator();
              Field<float> model(overlap_counts);
              DataParallel data_parallel(communicator, model.parameters(),
                                         {.bucket_bytes = 512_B, .logical_shards = 4, .overlap = overlap});
              std::size_t expected = promised_bytes(algorithm, world.rank(), ranks, 1, 8) +
                                     promised_bytes(algorithm, world.rank(), ranks, overlap_counts.size() + 3, 4);
              for (const auto& bucket : data_parallel.buckets()) {
                std::size_t elements = 0;
                for (const std::size_t p : bucket) elements += (overlap_counts[p] + 15) / 16 * 16;  // whole cache lines
                expected += promised_bytes(algorithm, world.rank(), ranks, elements, 4);
              }
              DistributedSampler sampler({.count = 20, .global_batch = 8});
              for (auto& step : data_parallel.steps(sampler)) {
                const auto before = communicator.payload_bytes_sent();
                for (auto& shard : step.shards())
                  model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
                step.reduce();
                const auto sent = communicator.payload_bytes_sent() - before;
                complaints.expect(world.rank(), sent == expected,
                                  std::to_string(sent) + " bytes instead of " + std::to_string(expected));
              }
            },
            {.transport = transport, .world = {.algorithm = algorithm}});
  CAPTURE(algorithm, transport, ranks, overlap);
  REQUIRE(complaints.all() == "");
}
