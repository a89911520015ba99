// SPDX-License-Identifier: Apache-2.0
// Row-sparse gradients by way of servers: by rows, with the bits of dense all-reduce, for parameters of any width.
#include "served_ranks.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/parallel/row_field.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

/// Few rows of several keys, few elements, more than half of the rows, nothing, rows without elements, dense ones, one nobody uses.
const std::vector<RowField::Table> served_tables{{"embedding", {1500, 8}, 300}, {"bias", {7}, 1},
                                                 {"weight", {90}, 40},          {"busy.table", {9, 5}, 2},
                                                 {"none", {0, 4}, 1},           {"hollow.table", {5, 0}, 2},
                                                 {"last", {3, 4}, 1},           {"idle.table", {40, 3}, 1'000'000'007}};
const std::vector<std::string> served_row_names{"embedding", "weight", "*.table", "none"};

enum class RowsWay { dense_all_reduce, summing, updating };

struct ServedRows {
  RowsWay way = RowsWay::dense_all_reduce;
  int ranks = 1;
  bool weights = false;  ///< of 0 on some leaves, and on all of one step
  bool skips = false;    ///< some leaves do not announce
  bool by_sockets = false;
  DType dtype = DType::f32;
  DType gradient_dtype = DType::f32;
};

std::string train_served_rows(const ServedRows& way) {
  const bool sparse = way.way != RowsWay::dense_all_reduce;
  const RowField names(served_tables, way.dtype, way.gradient_dtype);
  const auto rule = [] { return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.01}); };
  ServedRanks::Options options{.workers = static_cast<std::uint32_t>(way.ranks),
                               .leaves = 8,
                               .row_sparse = served_row_names,
                               .by_sockets = way.by_sockets};
  if (way.way == RowsWay::updating) options.make_optimizer = rule;
  const ServedRanks served(names.parameters(), options);
  std::string bytes;
  run_ranks(way.ranks, [&](World& world) {
    RowField model(served_tables, way.dtype, way.gradient_dtype);
    DataParallelOptions parallel{.bucket_bytes = 64_B, .logical_shards = 8};
    if (sparse) parallel.row_sparse = served_row_names;
    if (way.way == RowsWay::summing)
      parallel.synchronizer = ps::summing_synchronizer(served.synchronizer(world.rank()));
    if (way.way == RowsWay::updating)
      parallel.synchronizer = ps::updating_synchronizer({.servers = served.synchronizer(world.rank())});
    DataParallel data_parallel(world.communicator(), model.parameters(), parallel);
    const auto optimizer = rule();
    DistributedSampler sampler({.count = 37, .global_batch = 10, .seed = 5});
    std::string result;
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        const std::uint32_t first = shard.samples()[0];
        if (way.weights) shard.weight(step.index() == 1 || first % 4 == 0 ? 0.0 : 0.1 * static_cast<double>(first));
        for (std::size_t p = served_tables.size(); p-- > 0;) {
          if (way.skips && (first + p) % 3 == 0) continue;
          const bool dense = !sparse || p == 1 || p == 6;
          const auto rows = model.backward(p, shard.samples(), dense ? 0.0 : std::numeric_limits<double>::quiet_NaN());
          if (dense) {
            shard.ready(p);
          } else {
            shard.ready_rows(p, rows);
          }
        }
      }
      step.reduce();
      if (way.way != RowsWay::updating) {
        for (std::size_t p = 0; p < served_tables.size() && step.total_weight() != 0.0; ++p) {
          const TensorView gradient = step.gradient(p);
          result.append(static_cast<const char*>(gradient.data), gradient.size_bytes());
          result += step.used(p) ? 'u' : '-';
        }
      }
      step.apply(*optimizer, {.clip_norm = 0.5});
    }
    if (way.way == RowsWay::updating) result.clear();
    if (world.rank() == world.size() - 1) bytes = result + model.bytes();
  });
  return bytes;
}

void require_served_bits(ServedRows way) {
  const ServedRows dense{
      .weights = way.weights, .skips = way.skips, .dtype = way.dtype, .gradient_dtype = way.gradient_dtype};
  const std::string expected = train_served_rows(dense);
  for (const int ranks : {2, 3, 4}) {
    way.ranks = ranks;
    CAPTURE(ranks, way.weights, way.skips, way.dtype);
    way.way = RowsWay::summing;
    REQUIRE((train_served_rows(way) == expected));
    way.way = RowsWay::updating;
    const std::string values = train_served_rows(way);
    REQUIRE((values == expected.substr(expected.size() - values.size())));
  }
}

}  // namespace

TEST_CASE("row-sparse gradients by way of servers have the bits of dense ones by all-reduce") {
  require_served_bits({});
}

TEST_CASE("they keep them with weights of 0, and with leaves and ranks that announce nothing") {
  require_served_bits({.weights = true});
  require_served_bits({.skips = true});
  require_served_bits({.weights = true, .skips = true});
}

TEST_CASE("servers behind sockets keep them") {
  require_served_bits({.weights = true, .skips = true, .by_sockets = true});
}

TEST_CASE("servers keep the bits of parameters of 64 and 16 bits") {
  require_served_bits({.dtype = DType::f64, .gradient_dtype = DType::f64});
  require_served_bits({.dtype = DType::bf16, .gradient_dtype = DType::bf16});
  require_served_bits({.dtype = DType::f16, .gradient_dtype = DType::f32});
}

TEST_CASE("of a row-sparse gradient only the rows that were touched travel") {
  const RowField names({{"embedding", {4000, 64}, 2000}}, DType::f32, DType::f32);
  const ServedRanks served(names.parameters(), {.workers = 2, .leaves = 2, .row_sparse = {"embedding"}});
  std::vector<ps::Client::Statistics> after(2);
  std::vector<std::size_t> touched(2, 0);
  run_ranks(2, [&](World& world) {
    const auto rank = static_cast<std::size_t>(world.rank());
    RowField model({{"embedding", {4000, 64}, 2000}}, DType::f32, DType::f32);
    const auto client = served.connect(world.rank());
    DataParallel data_parallel(
        world.communicator(), model.parameters(),
        {.row_sparse = {"embedding"}, .synchronizer = ps::summing_synchronizer({client, served.plan()})});
    DistributedSampler sampler({.count = 8, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        const auto rows = model.backward(0, shard.samples(), 0.0);
        touched[rank] += rows.size();
        shard.ready_rows(0, rows);
      }
      step.reduce();
    }
    after[rank] = client->statistics();
  });
  for (const std::size_t rank : {0u, 1u}) {
    CHECK(after[rank].bytes_sent == touched[rank] * 64 * 4);
    CHECK(after[rank].bytes_received <= (touched[0] + touched[1]) * 64 * 4);
    CHECK(touched[rank] > 0);
  }
}
