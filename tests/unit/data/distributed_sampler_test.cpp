// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/distributed_sampler.hpp"

#include "support/failures.hpp"
#include "trireme/data/evaluation_share.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <vector>

using namespace trireme;
using data::DistributedSampler;
using data::SamplerCursor;
using testing::error_of;
using Indices = std::vector<std::uint32_t>;

namespace {

Indices copy(std::span<const std::uint32_t> span) { return {span.begin(), span.end()}; }

Indices epoch_of(DistributedSampler& sampler, std::uint64_t epoch) {
  Indices all;
  for (std::uint64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
    const auto batch = sampler.batch(epoch, step);
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return all;
}

Indices first_numbers(std::size_t count) {
  Indices numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

}  // namespace

TEST_CASE("the leaves of every batch of an epoch hold every sample exactly once") {
  const std::size_t count = GENERATE(1u, 2u, 7u, 64u, 100u, 1001u);
  const std::size_t global_batch = GENERATE(1u, 3u, 8u, 100u, 2000u);
  const int leaves = GENERATE(1, 2, 3, 4, 7, 8, 16);
  DistributedSampler sampler({.count = count, .global_batch = global_batch, .seed = 5});
  REQUIRE(sampler.steps_per_epoch() == (count + global_batch - 1) / global_batch);
  Indices seen;
  for (std::uint64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
    const auto batch = sampler.batch(3, step);
    REQUIRE(batch.size() == std::min(global_batch, count - step * global_batch));
    const auto* position = batch.data();
    for (int v = 0; v < leaves; ++v) {
      const auto leaf = DistributedSampler::leaf(batch, leaves, v);
      const auto begin = static_cast<std::size_t>(v) * batch.size() / static_cast<std::size_t>(leaves);
      REQUIRE(leaf.data() == position);
      REQUIRE(leaf.data() == batch.data() + begin);
      position += leaf.size();
      seen.insert(seen.end(), leaf.begin(), leaf.end());
    }
    REQUIRE(position == batch.data() + batch.size());
  }
  std::sort(seen.begin(), seen.end());
  REQUIRE(seen == first_numbers(count));
}

TEST_CASE("the order of an epoch depends on seed and epoch only") {
  const auto sampler_of = [](std::uint64_t seed, std::size_t batch) {
    return DistributedSampler({.count = 500, .global_batch = batch, .seed = seed});
  };
  auto a = sampler_of(11, 32);
  auto b = sampler_of(11, 77);
  const Indices epoch0 = epoch_of(a, 0);
  const Indices epoch9 = epoch_of(a, 9);
  REQUIRE(epoch0 != epoch9);
  REQUIRE(epoch0 != first_numbers(500));
  REQUIRE(epoch_of(b, 9) == epoch9);  // another batch size, without having been in epoch 0
  REQUIRE(epoch_of(b, 0) == epoch0);
  auto other = sampler_of(12, 32);
  REQUIRE(epoch_of(other, 0) != epoch0);
}

TEST_CASE("the permutation is the documented one: these values never change") {
  // Computed by another program.
  DistributedSampler sampler({.count = 10, .global_batch = 10, .seed = 42});
  CHECK(copy(sampler.batch(0, 0)) == Indices{9, 2, 1, 8, 4, 5, 3, 0, 7, 6});
  CHECK(copy(sampler.batch(1, 0)) == Indices{5, 8, 0, 9, 3, 2, 4, 1, 6, 7});
  DistributedSampler large({.count = 60000, .global_batch = 4, .seed = 5});
  CHECK(copy(large.batch(1, 0)) == Indices{5044, 39037, 43403, 36805});
  CHECK(copy(large.batch(1, 14999)) == Indices{35172, 18575, 49337, 46272});
}

TEST_CASE("every sample is equally likely at every position") {
  constexpr std::size_t count = 8;
  DistributedSampler sampler({.count = count, .global_batch = count, .seed = 1});
  std::vector<int> histogram(count * count);
  for (std::uint64_t epoch = 0; epoch < 8000; ++epoch) {
    const auto order = sampler.batch(epoch, 0);
    for (std::size_t position = 0; position < count; ++position) ++histogram[order[position] * count + position];
  }
  for (int times : histogram) CHECK(std::abs(times - 1000) < 150);  // five standard deviations
}

TEST_CASE("without shuffle every epoch is in order") {
  DistributedSampler sampler({.count = 50, .global_batch = 7, .seed = 3, .shuffle = false});
  REQUIRE(epoch_of(sampler, 0) == first_numbers(50));
  REQUIRE(epoch_of(sampler, 4) == first_numbers(50));
}

TEST_CASE("a batch stays valid while the next epoch is being prefetched") {
  DistributedSampler sampler({.count = 40, .global_batch = 16, .seed = 3});
  const auto last = sampler.batch(0, 2);
  const Indices before = copy(last);
  const auto first = sampler.batch(1, 0);
  CHECK(copy(last) == before);
  CHECK(copy(sampler.batch(0, 2)) == before);
  CHECK(copy(sampler.batch(1, 0)) == copy(first));
}

TEST_CASE("a sampler resumed in the middle of an epoch continues the same sequence") {
  const data::SamplerOptions options{.count = 103, .global_batch = 10, .seed = 8};
  DistributedSampler whole(options);
  std::vector<Indices> expected;
  for (int step = 0; step < 30; ++step) {
    expected.push_back(copy(whole.batch()));
    whole.advance();
  }
  REQUIRE(whole.cursor() == SamplerCursor{2, 8});
  const int stop = GENERATE(0, 1, 10, 11, 17, 29);
  DistributedSampler first(options);
  for (int step = 0; step < stop; ++step) first.advance();
  DistributedSampler second(options);
  second.restore(first.state());
  REQUIRE(second.cursor() == first.cursor());
  for (std::size_t step = static_cast<std::size_t>(stop); step < expected.size(); ++step) {
    REQUIRE(copy(second.batch()) == expected[step]);
    second.advance();
  }
}

TEST_CASE("a sampler refuses what it cannot continue, naming the difference") {
  const data::SamplerOptions options{.count = 100, .global_batch = 10, .seed = 8};
  DistributedSampler sampler(options);
  const auto refused = [&](auto change, const std::string& word) {
    data::SamplerState state = sampler.state();
    change(state);
    const Error error = error_of([&] { sampler.restore(state); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_THAT(error.message, Catch::Contains(word));
    CHECK(sampler.cursor() == SamplerCursor{});
  };
  refused([](auto& state) { state.count = 99; }, "sample count 99");
  refused([](auto& state) { state.global_batch = 11; }, "global batch 11");
  refused([](auto& state) { state.seed = 9; }, "seed 9");
  refused([](auto& state) { state.shuffle = false; }, "shuffle");
  refused([](auto& state) { state.cursor = {4, 10}; }, "step 10");
  CHECK(error_of([&] { sampler.batch(0, 10); }).code == ErrorCode::invalid_argument);
  const auto batch = sampler.batch(0, 0);
  CHECK(error_of([&] { DistributedSampler::leaf(batch, 4, 4); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([&] { DistributedSampler::leaf(batch, 4, -1); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([&] { DistributedSampler::leaf(batch, 0, 0); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([] { DistributedSampler({.count = 0, .global_batch = 1}); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([] { DistributedSampler({.count = 1, .global_batch = 0}); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([] { DistributedSampler({.count = std::size_t{1} << 32, .global_batch = 1}); }).code ==
        ErrorCode::invalid_argument);
}

TEST_CASE("the shares of an evaluation cover every sample exactly once, cut at blocks") {
  const std::size_t count = GENERATE(0u, 1u, 5u, 64u, 10000u, 10001u);
  const int ranks = GENERATE(1, 2, 3, 7, 16);
  const std::size_t block = GENERATE(1u, 4u, 250u, 20000u);
  std::size_t position = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const layout::Interval share = data::evaluation_share(count, rank, ranks, block);
    REQUIRE(share.begin == position);
    REQUIRE(share.end >= share.begin);
    REQUIRE((share.end % block == 0 || share.end == count));
    REQUIRE(share.size() <= (count / block / static_cast<std::size_t>(ranks) + 2) * block);
    position = share.end;
  }
  REQUIRE(position == count);
}

TEST_CASE("evaluation_share refuses ranks outside the world") {
  CHECK(error_of([] { data::evaluation_share(10, 2, 2); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([] { data::evaluation_share(10, -1, 2); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([] { data::evaluation_share(10, 0, 0); }).code == ErrorCode::invalid_argument);
  CHECK(error_of([] { data::evaluation_share(10, 0, 1, 0); }).code == ErrorCode::invalid_argument);
}
