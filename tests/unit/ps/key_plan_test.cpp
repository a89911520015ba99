// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/key_plan.hpp"

#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <set>

using namespace trireme;
using ps::KeyPlan;
using ps::KeyPlanOptions;
using ps::TensorInfo;

namespace {

/// Of a small network: large and small matrices, vectors, a scalar.
std::vector<TensorInfo> layered() {
  return {{.name = "embedding", .shape = {5000, 96}, .row_sparse = true},
          {.name = "layer1.weight", .shape = {784, 512}},
          {.name = "layer1.bias", .shape = {512}},
          {.name = "layer2.weight", .shape = {512, 3000}, .dtype = DType::f16},
          {.name = "scale", .shape = {}},
          {.name = "layer3.weight", .shape = {3000, 10}, .dtype = DType::f64, .accumulator = DType::f64}};
}

std::uint64_t bytes_of(const KeyPlan& plan, const ps::KeyInfo& key) {
  return key.range.size() * size_of(plan.tensors()[key.tensor].accumulator);
}

double most_off(const KeyPlan& plan) {
  const auto& options = plan.options();
  double all = 0, shares = 0, worst = 0;
  for (std::uint32_t s = 0; s < options.servers; ++s) {
    all += static_cast<double>(plan.bytes_of_server(s).value);
    shares += options.shares.empty() ? 1.0 : options.shares[s];
  }
  for (std::uint32_t s = 0; s < options.servers; ++s) {
    const double target = all * (options.shares.empty() ? 1.0 : options.shares[s]) / shares;
    worst = std::max(worst, std::abs(static_cast<double>(plan.bytes_of_server(s).value) - target));
  }
  return worst;
}

}  // namespace

TEST_CASE("Keys cover every element of every tensor once, in order") {
  for (const std::uint64_t bytes : {16'384u, 100'000u, 4'096'000u}) {
    const KeyPlan plan(layered(), {.servers = 3, .loops = 2, .partition_bytes = Bytes{bytes}});
    for (std::size_t t = 0; t < plan.tensors().size(); ++t) {
      const auto [first, last] = plan.keys_of(t);
      REQUIRE(first < last);
      std::size_t at = 0;
      for (ps::Key k = first; k < last; ++k) {
        const auto& key = plan.keys()[k];
        CHECK(key.tensor == t);
        CHECK(key.range.begin == at);
        CHECK(key.server < 3);
        CHECK(key.loop < 2);
        CHECK(key.replica == key.server);
        at = key.range.end;
      }
      CHECK(at == plan.tensors()[t].count());
    }
  }
}

TEST_CASE("Keys begin at edges of reduction blocks, and of a row-sparse tensor at whole rows") {
  const KeyPlan plan(layered(), {.servers = 2, .partition_bytes = Bytes{60'000}});
  std::size_t of_embedding = 0;
  for (const auto& key : plan.keys()) {
    CHECK(key.range.begin % layout::reduction_block == 0);
    if (!plan.tensors()[key.tensor].row_sparse) continue;
    CHECK(key.range.begin % 96 == 0);
    ++of_embedding;
  }
  CHECK(of_embedding > 10);
}

TEST_CASE("Servers and their loops are balanced by bytes to within one partition") {
  for (const std::uint32_t servers : {1u, 2u, 3u, 5u, 8u}) {
    const KeyPlan plan(layered(), {.servers = servers, .loops = 3, .partition_bytes = Bytes{100'000}});
    std::uint64_t largest = 0;
    for (const auto& key : plan.keys()) largest = std::max(largest, bytes_of(plan, key));
    INFO(servers << " servers");
    CHECK(most_off(plan) <= static_cast<double>(largest));
    for (std::uint32_t s = 0; s < servers; ++s) {
      std::vector<std::uint64_t> loops(3, 0);
      for (const auto& key : plan.keys()) {
        if (key.server == s) loops[key.loop] += bytes_of(plan, key);
      }
      const auto [least, most] = std::minmax_element(loops.begin(), loops.end());
      CHECK(*most - *least <= 2 * largest);
    }
  }
}

TEST_CASE("A partition is no larger than asked, to within one block") {
  const KeyPlan plan(layered(), {.servers = 2});
  for (const auto& key : plan.keys()) CHECK(bytes_of(plan, key) <= 4'096'000 + 4096 * 8);
  const KeyPlan small(layered(), {.servers = 2, .partition_bytes = Bytes{1}});
  for (const auto& key : small.keys()) {
    if (!small.tensors()[key.tensor].row_sparse) CHECK(key.range.size() <= layout::reduction_block);
  }
}

TEST_CASE("Shares say how much each server holds") {
  const KeyPlan plan(layered(), {.servers = 3, .partition_bytes = Bytes{50'000}, .shares = {1.0, 2.0, 5.0}});
  std::uint64_t largest = 0;
  for (const auto& key : plan.keys()) largest = std::max(largest, bytes_of(plan, key));
  CHECK(most_off(plan) <= static_cast<double>(largest));
  CHECK(plan.bytes_of_server(2).value > plan.bytes_of_server(1).value);
}

TEST_CASE(
    "In the order of keys every server has its share all the way, so all are busy from the first key to the last") {
  const std::vector<double> shares{1.0, 1.0, 1.0, 1.0, 2.0};
  const KeyPlan plan({{.name = "w", .shape = {120 * 4096}}},
                     {.servers = 5, .partition_bytes = Bytes{16384}, .shares = shares});
  REQUIRE(plan.keys().size() == 120);
  std::vector<double> keys(5);
  for (std::size_t k = 0; k < plan.keys().size(); ++k) {
    keys[plan.keys()[k].server] += 1.0;
    for (std::size_t s = 0; s < 5; ++s) CHECK(std::abs(keys[s] - shares[s] / 6.0 * static_cast<double>(k + 1)) < 2.0);
  }
}

TEST_CASE("A server whose share is less than half of a key holds none") {
  const KeyPlan plan({{.name = "w", .shape = {120 * 4096}}},
                     {.servers = 3, .partition_bytes = Bytes{16384}, .shares = {1e-9, 0.5, 0.5}});
  CHECK(plan.bytes_of_server(0).value == 0);
}

TEST_CASE("Rules that see more than elements have every tensor on one loop of one server") {
  for (const UpdateScope scope : {UpdateScope::sums, UpdateScope::tensor}) {
    const KeyPlan plan(layered(), {.servers = 3, .loops = 2, .partition_bytes = Bytes{50'000}, .scope = scope});
    std::uint64_t largest = 0;
    for (std::size_t t = 0; t < plan.tensors().size(); ++t) {
      std::set<std::pair<std::uint32_t, std::uint32_t>> places;
      std::uint64_t bytes = 0;
      const auto [first, last] = plan.keys_of(t);
      for (ps::Key k = first; k < last; ++k) {
        places.insert({plan.keys()[k].server, plan.keys()[k].loop});
        bytes += bytes_of(plan, plan.keys()[k]);
      }
      CHECK(places.size() == 1);
      largest = std::max(largest, bytes);
    }
    CHECK(most_off(plan) <= static_cast<double>(largest));
  }
}

TEST_CASE("A replica lies on another server") {
  const KeyPlan plan(layered(), {.servers = 3, .partition_bytes = Bytes{50'000}, .replicas = true});
  for (const auto& key : plan.keys()) {
    CHECK(key.replica != key.server);
    CHECK(key.replica < 3);
  }
}

TEST_CASE("Earlier layers have priority") {
  const KeyPlan plan(layered(), {.servers = 2, .partition_bytes = Bytes{50'000}});
  for (std::size_t k = 1; k < plan.keys().size(); ++k) CHECK(plan.keys()[k - 1].priority <= plan.keys()[k].priority);
  CHECK(plan.keys().front().priority < plan.keys().back().priority);
}

TEST_CASE("A fingerprint tells plans apart, and equal ones it does not") {
  const KeyPlanOptions options{.servers = 3, .loops = 2, .partition_bytes = Bytes{100'000}};
  const std::uint64_t print = KeyPlan(layered(), options).fingerprint();
  CHECK(KeyPlan(layered(), options).fingerprint() == print);
  auto renamed = layered();
  renamed[2].name = "layer1.offset";
  CHECK(KeyPlan(renamed, options).fingerprint() != print);
  auto narrowed = layered();
  narrowed[2].dtype = DType::bf16;
  CHECK(KeyPlan(narrowed, options).fingerprint() != print);
  auto other = options;
  other.loops = 1;
  CHECK(KeyPlan(layered(), other).fingerprint() != print);
  other = options;
  other.partition_bytes = Bytes{50'000};
  CHECK(KeyPlan(layered(), other).fingerprint() != print);
  other = options;
  other.replicas = true;
  CHECK(KeyPlan(layered(), other).fingerprint() != print);
}

TEST_CASE("A plan says which server holds what") {
  const KeyPlan plan({{.name = "w", .shape = {8192}}, {.name = "b", .shape = {8192}}},
                     {.servers = 2, .partition_bytes = Bytes{32'768}, .replicas = true});
  CHECK(plan.explain() ==
        "server 0: 1 key of 1 tensor, 0.033 MB (50.0 %), replicas on server 1 at first\n"
        "server 1: 1 key of 1 tensor, 0.033 MB (50.0 %), replicas on server 0 at first\n");
}

TEST_CASE("An empty tensor has one empty key") {
  const KeyPlan plan({{.name = "none", .shape = {0, 4}}, {.name = "w", .shape = {4}}}, {});
  CHECK(plan.keys().size() == 2);
  CHECK(plan.keys()[0].range.size() == 0);
  CHECK_THROWS_WITH(plan.keys_of(2), Catch::Matchers::Contains("no tensor 2 among 2"));
}

TEST_CASE("A plan that does not fit is refused by what does not") {
  const auto refused = [](std::vector<TensorInfo> tensors, const KeyPlanOptions& options, const char* text) {
    CHECK_THROWS_WITH(KeyPlan(std::move(tensors), options), Catch::Matchers::Contains(text));
  };
  refused({}, {}, "there are no tensors");
  refused(layered(), {.servers = 0}, "there are no servers");
  refused(layered(), {.servers = 2, .shares = {1.0}}, "1 shares for 2 servers");
  refused(layered(), {.servers = 2, .shares = {1.0, 0.0}}, "the share of server 1");
  refused(layered(), {.servers = 1, .replicas = true}, "replicas lie on another server");
  refused(layered(), {.partition_bytes = Bytes{0}}, "partition_bytes");
}

TEST_CASE("Tensors are taken from parameters with the accumulator of their gradients") {
  std::vector<float> memory(8);
  const std::vector<Parameter> parameters{
      {.name = "a", .shape = {4}, .value = {memory.data(), 4, DType::f16}, .gradient = {memory.data(), 4, DType::f16}},
      {.name = "b",
       .shape = {2, 2},
       .value = {memory.data(), 4, DType::f64},
       .gradient = {memory.data(), 4, DType::f64}}};
  const std::vector<std::string> sparse{"b"};
  const auto tensors = KeyPlan::tensors_of(parameters, sparse);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].accumulator == DType::f32);
  CHECK(tensors[0].dtype == DType::f16);
  CHECK_FALSE(tensors[0].row_sparse);
  CHECK(tensors[1].accumulator == DType::f64);
  CHECK(tensors[1].row_sparse);
}
