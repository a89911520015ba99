// SPDX-License-Identifier: Apache-2.0
// Ranks that come late or leave early, stepped by hand: what no timing of threads would show for certain.
#include "comm/operation.hpp"
#include "comm/requests.hpp"
#include "comm/shared/tier.hpp"
#include "comm/signature.hpp"
#include "support/endpoints.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

using namespace trireme;
using comm::Progress;
using comm::Requests;
using comm::shared::Run;
using comm::shared::Tier;

namespace {

/// Three ranks on one host with arena memory each, driven from one thread.
class SteppedHost {
 public:
  static constexpr int ranks = 3;
  static constexpr std::size_t count = 25'000;

  SteppedHost() {
    for (int r = 0; r < ranks; ++r) {
      auto cells = std::make_shared<comm::shared::Cells>(network_.arena_of(r));
      tiers_.push_back(
          std::make_unique<Tier>(network_[r], cells, network_.heard(r), 1, 0, std::vector<int>{0, 1, 2}, r));
      memory_.push_back(network_.arena(r).allocate(count * sizeof(float)).data());
      std::fill(values(r).begin(), values(r).end(), static_cast<float>(r + 1));
    }
  }
  std::span<float> values(int rank) { return {reinterpret_cast<float*>(memory_[index(rank)]), count}; }

  void start(int rank, comm::Request (*make)(const Requests&, std::span<float>)) {
    comm::Operation& operation = operations_[index(rank)];
    operation.request = make(Requests(ranks, rank, std::chrono::seconds(60)), values(rank));
    operation.stamp = comm::signature_of(operation.request, 0);
    tiers_[index(rank)]->start(runs_[index(rank)], operation, 1.0);
  }
  Progress poll(int rank) { return tiers_[index(rank)]->poll(runs_[index(rank)]); }
  void finish(int rank) { tiers_[index(rank)]->finish(runs_[index(rank)]); }
  testing::Endpoints& network() { return network_; }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  testing::Endpoints network_{"mem", ranks};
  std::vector<std::unique_ptr<Tier>> tiers_;
  std::vector<void*> memory_;
  comm::Operation operations_[ranks];
  Run runs_[ranks];
};

comm::Request all_reduce_call(const Requests& requests, std::span<float> values) {
  return requests.all_reduce(ConstTensorView(values), TensorView(values), sum, {});
}
comm::Request broadcast_call(const Requests& requests, std::span<float> values) {
  return requests.broadcast(TensorView(values), 0, {});
}

}  // namespace

TEST_CASE("stepped by hand, an all_reduce in the arena ends as it should") {
  SteppedHost host;
  for (int r = 0; r < SteppedHost::ranks; ++r) host.start(r, all_reduce_call);
  int done = 0;
  for (int round = 0; round < 10 && done < SteppedHost::ranks; ++round) {
    done = 0;
    for (int r = 0; r < SteppedHost::ranks; ++r) done += host.poll(r) == Progress::done ? 1 : 0;
  }
  REQUIRE(done == SteppedHost::ranks);
  for (int r = 0; r < SteppedHost::ranks; ++r) {
    host.finish(r);
    REQUIRE((host.values(r).front() == 6.0f && host.values(r).back() == 6.0f));
  }
}

TEST_CASE(
    "a rank that comes after the others have given up neither writes into their memory nor takes it for a result") {
  SteppedHost host;
  const auto call = GENERATE(all_reduce_call, broadcast_call);
  host.start(0, call);
  host.start(1, call);
  REQUIRE(host.poll(0) == Progress::idle);
  REQUIRE(host.poll(1) == Progress::idle);
  host.finish(0);  // its deadline has passed: the memory is the program's again
  host.finish(1);
  std::fill(host.values(0).begin(), host.values(0).end(), 100.0f);
  host.start(2, call);
  for (int i = 0; i < 10; ++i) REQUIRE(host.poll(2) != Progress::done);
  REQUIRE(std::all_of(host.values(0).begin(), host.values(0).end(), [](float v) { return v == 100.0f; }));
  REQUIRE(std::all_of(host.values(1).begin(), host.values(1).end(), [](float v) { return v == 2.0f; }));
  REQUIRE(std::all_of(host.values(2).begin(), host.values(2).end(), [](float v) { return v == 3.0f; }));
  host.finish(2);
}

TEST_CASE("a rank that has taken its copy of a broadcast may leave before another has come for its own") {
  SteppedHost host;
  for (const int r : {0, 1, 2}) host.start(r, broadcast_call);
  while (host.poll(2) != Progress::done) host.poll(0);
  host.finish(2);
  REQUIRE(host.values(2).back() == 1.0f);
  host.network()[2].close(Deadline::after(std::chrono::milliseconds(0)));
  for (int i = 0; i < 1000; ++i) {
    host.network()[0].progress();
    const Progress progress = host.poll(0);
    REQUIRE((progress == Progress::idle || progress == Progress::advanced));  // waits for rank 1, not for who has gone
  }
  while (host.poll(1) != Progress::done) {
  }
  REQUIRE(host.poll(0) == Progress::done);
  REQUIRE(host.values(1).back() == 1.0f);
  host.finish(0);
  host.finish(1);
}
