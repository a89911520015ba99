// SPDX-License-Identifier: Apache-2.0
// Row-sparse gradients change no bit: not of the gradients, not of what is trained with them.
#include "ranks.hpp"
#include "row_field.hpp"
#include "support/stride.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <tuple>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;

namespace {

/// Few rows, few elements, more than half of the rows, nothing at all, rows without elements, and dense ones between.
const std::vector<RowField::Table> row_tables{{"embedding", {50, 6}, 60}, {"bias", {7}, 1},
                                              {"weight", {90}, 40},       {"busy.table", {9, 5}, 2},
                                              {"none", {0, 4}, 1},        {"hollow.table", {5, 0}, 2},
                                              {"last", {3, 4}, 1},        {"idle.table", {40, 3}, 1'000'000'007}};
constexpr std::size_t row_samples = 37;  // batches of 10, 10, 10 and 7: unequal leaves, and empty ones of 8
const std::vector<std::string> row_names{"embedding", "weight", "*.table", "none"};

struct RowWay {
  int ranks = 1;
  int leaves = 8;
  bool sparse = true;
  bool overlap = true;
  bool views = false;
  bool own_memory = true;  ///< of the gradients
  bool weights = false;    ///< of 0 on some leaves, and on all of one step
  bool all_rows = false;   ///< every third leaf announces all rows
  bool skips = false;      ///< some leaves do not announce
  DType dtype = DType::f32;
  DType gradient_dtype = DType::f32;
  std::string transport = "mem";
};

/// The bytes of all gradients of all steps and of the parameters in the end, by rank.
std::vector<std::string> train_rows(const RowWay& way) {
  std::vector<std::string> results(static_cast<std::size_t>(way.ranks));
  run_ranks(way.ranks,
            [&](World& world) {
              RowField model(row_tables, way.dtype, way.gradient_dtype);
              DataParallel data_parallel(world.communicator(),
                                         way.own_memory ? model.parameters() : model.parameters_without_gradients(),
                                         {.bucket_bytes = 64_B,
                                          .logical_shards = way.leaves,
                                          .overlap = way.overlap,
                                          .gradients_as_bucket_views = way.views,
                                          .row_sparse = way.sparse ? row_names : std::vector<std::string>{}});
              model.use_gradients(data_parallel.parameters());
              AdamW optimizer({.learning_rate = 0.01});
              DistributedSampler sampler({.count = row_samples, .global_batch = 10, .seed = 5});
              std::string& result = results[static_cast<std::size_t>(world.rank())];
              while (sampler.cursor().epoch < 2) {
                for (auto& step : data_parallel.steps(sampler)) {
                  for (auto& shard : step.shards()) {
                    const std::uint32_t first = shard.samples()[0];
                    if (way.weights)
                      shard.weight(step.index() == 1 || first % 4 == 0 ? 0.0 : 0.1 * static_cast<double>(first));
                    for (std::size_t p = row_tables.size(); p-- > 0;) {
                      if (way.skips && (first + p) % 3 == 0) continue;
                      const bool dense = !way.sparse || p == 1 || p == 6 || (way.all_rows && first % 3 == 1);
                      const auto rows =
                          model.backward(p, shard.samples(), dense ? 0.0 : std::numeric_limits<double>::quiet_NaN());
                      if (dense) {
                        shard.ready(p);
                      } else {
                        shard.ready_rows(p, rows);
                      }
                    }
                  }
                  step.reduce();
                  for (std::size_t p = 0; p < row_tables.size() && step.total_weight() != 0.0; ++p) {
                    const TensorView gradient = step.gradient(p);
                    result.append(static_cast<const char*>(gradient.data), gradient.size_bytes());
                    result += step.used(p) ? 'u' : '-';
                  }
                  step.apply(optimizer, {.clip_norm = 0.5});
                }
              }
              result += model.bytes();
            },
            {.transport = way.transport});
  return results;
}

void require_dense_bits(RowWay way) {
  static std::map<std::tuple<int, int, bool, bool, DType, DType>, std::string> known;  // dense training, once each
  CAPTURE(way.ranks, way.leaves, way.overlap, way.views, way.own_memory, way.weights, way.all_rows, way.skips,
          way.transport);
  const RowWay dense{.ranks = way.leaves == 0 ? way.ranks : 1,
                     .leaves = way.leaves,
                     .sparse = false,
                     .weights = way.weights,
                     .skips = way.skips,
                     .dtype = way.dtype,
                     .gradient_dtype = way.gradient_dtype};
  std::string& expected =
      known[{dense.ranks, dense.leaves, dense.weights, dense.skips, dense.dtype, dense.gradient_dtype}];
  if (expected.empty()) expected = train_rows(dense).front();
  for (const std::string& each : train_rows(way)) REQUIRE((each == expected));
}

}  // namespace

TEST_CASE("row-sparse gradients have the bits of dense ones on any number of ranks, with or without overlap") {
  for (const int ranks : thinned({1, 2, 3, 4, 8}, {2, 3})) {
    for (const int leaves : {8, 0}) {
      for (const bool overlap : {true, false})
        require_dense_bits({.ranks = ranks, .leaves = leaves, .overlap = overlap});
    }
  }
}

TEST_CASE("row-sparse gradients keep the bits with weights of 0, with leaves that announce all rows or none") {
  const bool weights = GENERATE(false, true);
  const bool all_rows = GENERATE(false, true);
  const bool skips = GENERATE(false, true);
  for (const int ranks : thinned({1, 2, 3, 8}, {3})) {
    for (const int leaves : {8, 0})
      require_dense_bits({.ranks = ranks, .leaves = leaves, .weights = weights, .all_rows = all_rows, .skips = skips});
  }
}

TEST_CASE("row-sparse gradients keep the bits of parameters of 64 and 16 bits") {
  const auto [dtype, gradient] = GENERATE(std::pair{DType::f64, DType::f64}, std::pair{DType::bf16, DType::bf16},
                                          std::pair{DType::f16, DType::f32});
  for (const int ranks : thinned({1, 2, 3}, {2})) {
    for (const int leaves : {4, 0})
      require_dense_bits({.ranks = ranks, .leaves = leaves, .dtype = dtype, .gradient_dtype = gradient});
  }
}

TEST_CASE(
    "row-sparse gradients keep the bits beside bucket views, in the caller's memory or in none, on any transport") {
  const bool own_memory = GENERATE(false, true);
  for (const char* transport : {"mem", "shm", "tcp"}) {
    for (const int ranks : thinned({1, 2, 4}, {2})) {
      for (const int leaves : {4, 0})
        require_dense_bits(
            {.ranks = ranks, .leaves = leaves, .views = true, .own_memory = own_memory, .transport = transport});
    }
  }
}

TEST_CASE("a list of row-sparse parameters alone needs no bucket") {
  const int ranks = GENERATE(1, 3);
  const bool views = GENERATE(false, true);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    RowField model({{"embedding", {50, 6}, 60}, {"table", {20}, 3}}, DType::f32, DType::f32);
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.logical_shards = 4, .gradients_as_bucket_views = views, .row_sparse = {"*"}});
    complaints.expect(world.rank(), data_parallel.buckets().empty(), "no bucket");
    DistributedSampler sampler({.count = 24, .global_batch = 8});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) {
        for (const std::size_t p : {std::size_t{1}, std::size_t{0}})
          shard.ready_rows(p, model.backward(p, shard.samples(), 1.0));
      }
      step.reduce();
      complaints.expect(world.rank(), step.used(0) && step.used(1) && step.total_weight() == 8.0, "reduced");
    }
  });
  CAPTURE(ranks, views);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a row-sparse parameter keeps its bits through rebind()") {
  Complaints complaints(3);
  std::vector<std::string> ends(3);
  const auto train = [](World& world, bool sparse, bool rebinds) {
    RowField model(row_tables, DType::f32, DType::f32);
    DataParallel data_parallel(world.communicator(), model.parameters(),
                               {.logical_shards = 4, .row_sparse = sparse ? row_names : std::vector<std::string>{}});
    AdamW optimizer({.learning_rate = 0.01});
    DistributedSampler sampler({.count = 24, .global_batch = 8});
    for (int epoch = 0; epoch < 2; ++epoch) {
      // The second epoch: two of the three ranks.
      auto fewer = rebinds && epoch == 1 ? world.communicator().split(world.rank() == 1 ? -1 : 0, world.rank())
                                         : std::optional<Communicator>(world.communicator());
      if (!fewer) return std::string();
      if (rebinds && epoch == 1) data_parallel.rebind(*fewer);
      for (auto& step : data_parallel.steps(sampler)) {
        for (auto& shard : step.shards()) {
          for (std::size_t p = row_tables.size(); p-- > 0;) {
            const auto rows = model.backward(p, shard.samples(), 0.0);
            if (sparse && p != 1 && p != 6) {
              shard.ready_rows(p, rows);
            } else {
              shard.ready(p);
            }
          }
        }
        step.reduce();
        step.apply(optimizer);
      }
    }
    return model.bytes();
  };
  std::string expected;
  run_ranks(1, [&](World& world) { expected = train(world, false, false); });
  run_ranks(3, [&](World& world) { ends[static_cast<std::size_t>(world.rank())] = train(world, true, true); });
  REQUIRE((ends[0] == expected && ends[1].empty() && ends[2] == expected));
}
