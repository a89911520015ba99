// SPDX-License-Identifier: Apache-2.0
#include "parallel/bucket_plan.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/base/bytes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace trireme;
using namespace trireme::literals;
using parallel::BucketPlan;
using parallel::plan_buckets;

namespace {

Parameter parameter(std::size_t count, DType dtype = DType::f32) {
  return {.name = "p",
          .shape = {static_cast<std::int64_t>(count)},
          .value = {nullptr, count, dtype},
          .gradient = {nullptr, count, dtype}};
}

std::size_t bytes_of(const parallel::Bucket& bucket) { return bucket.count * size_of(bucket.dtype); }

/// What holds of every plan.
void check_plan(const std::vector<Parameter>& parameters, const BucketPlan& plan, Bytes first, Bytes rest) {
  std::size_t next = parameters.size();  // parameters come in reverse order, each once
  std::size_t end = 0;                   // in the arena: ranges follow each other
  for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
    const auto& bucket = plan.buckets[b];
    REQUIRE(!bucket.parameters.empty());
    REQUIRE(bucket.begin_bytes == end);
    for (const std::size_t p : bucket.parameters) {
      REQUIRE(p == --next);
      const auto& place = plan.places[p];
      REQUIRE(place.bucket == b);
      REQUIRE(place.dtype == bucket.dtype);
      REQUIRE(place.dtype == parameters[p].gradient.dtype);
      REQUIRE(place.count == parameters[p].gradient.count);
      REQUIRE(place.begin_bytes == end);
      REQUIRE(place.begin_bytes % 64 == 0);
      end += (place.count * size_of(place.dtype) + 63) / 64 * 64;
    }
    REQUIRE(bucket.begin_bytes + bytes_of(bucket) == end);
    if (bucket.parameters.size() > 1) REQUIRE(bytes_of(bucket) <= (b == 0 ? std::min(first, rest) : rest).value);
  }
  REQUIRE(next == 0);
  REQUIRE(plan.size_bytes == end);
}

}  // namespace

TEST_CASE("buckets cover every parameter once, in reverse order, within their limits unless one is larger") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<Parameter> parameters;
    for (std::uint64_t i = 0; i <= testing::mix(seed) % 20; ++i) {
      const auto bits = testing::mix(seed * 100 + i);
      parameters.push_back(parameter(bits % 700, (bits >> 20) % 4 == 0 ? DType::f64 : DType::f32));
    }
    const Bytes first{64 + testing::mix(seed + 1) % 4000}, rest{64 + testing::mix(seed + 2) % 8000};
    CAPTURE(seed, first.value, rest.value);
    check_plan(parameters, plan_buckets(parameters, first, rest), first, rest);
  }
}

TEST_CASE("with the usual limits the first bucket holds at most 1 MiB and the others at most 25") {
  std::vector<Parameter> parameters;
  for (int i = 0; i < 100; ++i) parameters.push_back(parameter(200'000));  // 0.76 MiB each
  const auto plan = plan_buckets(parameters, 1_MiB, 25_MiB);
  check_plan(parameters, plan, 1_MiB, 25_MiB);
  REQUIRE(plan.buckets.size() == 5);
  REQUIRE(plan.buckets[0].parameters == std::vector<std::size_t>{99});
  REQUIRE(plan.buckets[1].parameters.size() == 32);
}

TEST_CASE("a bucket is filled up to its last byte") {
  const std::vector<Parameter> parameters(5, parameter(16));  // 64 bytes each
  const auto plan = plan_buckets(parameters, 128_B, 192_B);
  REQUIRE(plan.buckets.size() == 2);
  REQUIRE(plan.buckets[0].parameters == std::vector<std::size_t>{4, 3});
  REQUIRE(plan.buckets[1].parameters == std::vector<std::size_t>{2, 1, 0});
}

TEST_CASE("the first bucket is never larger than the others may be") {
  const std::vector<Parameter> parameters(4, parameter(16));
  REQUIRE(plan_buckets(parameters, 1_MiB, 64_B).buckets.size() == 4);
}

TEST_CASE("a parameter larger than the limit has a bucket to itself") {
  const std::vector<Parameter> parameters{parameter(16), parameter(1000), parameter(16)};
  const auto plan = plan_buckets(parameters, 1_KiB, 1_KiB);
  REQUIRE(plan.buckets.size() == 3);
  REQUIRE(plan.buckets[1].parameters == std::vector<std::size_t>{1});
}

TEST_CASE("types do not mix in a bucket") {
  const std::vector<Parameter> parameters{parameter(4), parameter(4), parameter(4, DType::f64), parameter(4)};
  const auto plan = plan_buckets(parameters, 1_MiB, 1_MiB);
  REQUIRE(plan.buckets.size() == 3);
  REQUIRE(plan.buckets[1].dtype == DType::f64);
  REQUIRE(plan.buckets[1].count == 8);  // four, and padding to the cache line
}
