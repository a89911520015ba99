// SPDX-License-Identifier: Apache-2.0
// Row-sparse gradients: what travels, what is cleared, what is refused.
#include "parallel/row_sum.hpp"
#include "parallel/row_union.hpp"
#include "ranks.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/telemetry/span_recorder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

/// One table of `rows` rows of `columns`, and the memory it needs.
struct RowTable {
  std::vector<float> values, gradients;
  std::vector<Parameter> parameters;
  RowTable(std::size_t rows, std::size_t columns) : values(rows * columns, 1.0f), gradients(rows * columns) {
    parameters.push_back({"table",
                          {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)},
                          std::span<float>(values),
                          std::span<float>(gradients)});
  }
};

using Rows = std::vector<std::uint32_t>;

/// Bytes rank `rank` sends for an all_reduce of `count` elements of `size` bytes by the direct algorithm.
std::size_t direct_bytes(int rank, int ranks, std::size_t count, std::size_t size) {
  if (ranks == 1) return 0;
  const auto block = [&](int r) {
    const auto parts = static_cast<std::size_t>(ranks), index = static_cast<std::size_t>(r % ranks);
    return (index + 1) * count / parts - index * count / parts;
  };
  return (2 * count - block(rank) - block(rank + 1)) * size;
}

/// What each rank sends in a step in which rank r touches `touched`[r] of `rows` rows of 4 floats, the sum of the weights
/// and the counts at its end apart. By messages: common memory would gather without any.
std::vector<std::size_t> sent_bytes(std::size_t rows, const std::vector<Rows>& touched) {
  const auto ranks = static_cast<int>(touched.size());
  std::vector<std::size_t> sent(touched.size());
  run_ranks(ranks,
            [&](World& world) {
              RowTable table(rows, 4);
              DataParallel data_parallel(world.communicator(), table.parameters, {.row_sparse = {"table"}});
              const auto rank = static_cast<std::size_t>(world.rank());
              for (auto& step : data_parallel.steps()) {
                const auto before = world.communicator().payload_bytes_sent();
                for (auto& shard : step.shards()) {
                  if (step.index() == 2) {
                    shard.weight(0.0);
                  } else {
                    shard.ready_rows(0, touched[rank]);
                  }
                }
                step.reduce();
                if (step.index() == 1) {
                  sent[rank] = world.communicator().payload_bytes_sent() - before -
                               direct_bytes(world.rank(), ranks, 1, 8) - direct_bytes(world.rank(), ranks, 4, 4);
                }
              }
            },
            {.transport = "tcp", .world = {.algorithm = "direct"}});
  return sent;
}

Rows range_of_rows(std::uint32_t first, std::uint32_t count) {
  Rows rows(count);
  std::iota(rows.begin(), rows.end(), first);
  return rows;
}

}  // namespace

TEST_CASE("what travels is the rows that some rank touched and their indices, however many rows there are") {
  const std::vector<Rows> touched{{3, 5, 90}, {5, 700, 701, 702, 999}, {}};
  const std::size_t in_union = 7;
  for (const std::size_t rows : {1000u, 100'000u}) {
    const auto sent = sent_bytes(rows, touched);
    for (int rank = 0; rank < 3; ++rank) {
      CAPTURE(rows, rank);
      const std::size_t indices = touched[static_cast<std::size_t>(rank)].size();
      REQUIRE(sent[static_cast<std::size_t>(rank)] ==
              2 * 4 + 2 * 4 * indices + direct_bytes(rank, 3, 4 * in_union, sizeof(float)));
    }
  }
}

TEST_CASE("a bit per row travels where that is less than the indices") {
  // 100 rows: 4 words of bits from each of two ranks, against 8 indices and more.
  const auto lists = sent_bytes(100, {range_of_rows(0, 4), range_of_rows(40, 4)});
  REQUIRE(lists ==
          std::vector<std::size_t>{4 + 16 + direct_bytes(0, 2, 4 * 8, 4), 4 + 16 + direct_bytes(1, 2, 4 * 8, 4)});
  const auto bits = sent_bytes(100, {range_of_rows(0, 9), range_of_rows(40, 5)});
  REQUIRE(bits ==
          std::vector<std::size_t>{4 + 16 + direct_bytes(0, 2, 4 * 14, 4), 4 + 16 + direct_bytes(1, 2, 4 * 14, 4)});
}

TEST_CASE("when more than half of the rows are touched, all travel; when one rank says so, no index does") {
  const std::size_t all = 4 * 100;
  const auto half = sent_bytes(100, {range_of_rows(0, 25), range_of_rows(25, 25)});
  REQUIRE(half[0] == 4 + 16 + direct_bytes(0, 2, 4 * 50, 4));
  const auto together = sent_bytes(100, {range_of_rows(0, 25), range_of_rows(25, 26)});
  REQUIRE(together[0] == 4 + 16 + direct_bytes(0, 2, all, 4));
  const auto alone = sent_bytes(100, {range_of_rows(0, 51), {}});
  REQUIRE(alone[0] == 4 + direct_bytes(0, 2, all, 4));
}

TEST_CASE("nothing but the counts travels for a parameter that nobody touched") {
  REQUIRE(sent_bytes(100, {{}, {}, {}}) == std::vector<std::size_t>{8, 8, 8});
}

TEST_CASE("every rank finds the union of the rows, from indices or from bits") {
  const int ranks = GENERATE(1, 2, 3, 5);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    auto communicator = world.communicator();
    for (std::uint64_t round = 0; round < 60; ++round) {
      const std::size_t rows = 1 + mix(round) % 300;
      const std::uint64_t rarity = 2 + mix(round + 1000) % 60;
      std::set<std::uint32_t> all;
      std::vector<std::size_t> touched;
      Rows mine;
      for (int rank = 0; rank < ranks; ++rank) {
        Rows of_rank;
        for (std::uint32_t r = 0; r < rows; ++r) {
          if (mix((round * 8 + static_cast<std::uint64_t>(rank)) * 1000 + r) % rarity == 0) of_rank.push_back(r);
        }
        touched.push_back(of_rank.size());
        all.insert(of_rank.begin(), of_rank.end());
        if (rank == world.rank()) mine = of_rank;
      }
      parallel::RowUnion found(rows);
      for (int again = 0; again < 2; ++again) {
        found.exchange(communicator, mine, touched, {});
        complaints.expect(world.rank(), found.all() == (2 * all.size() > rows), "more than half or not");
        complaints.expect(world.rank(),
                          found.all() || std::equal(found.rows().begin(), found.rows().end(), all.begin(), all.end()),
                          "the union of round " + std::to_string(round));
      }
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("rows that nobody touches are +0 in every step, whatever was there in the steps before") {
  const int ranks = GENERATE(1, 2, 4);
  const int leaves = GENERATE(0, 4);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    RowTable table(10, 3);
    DataParallel data_parallel(world.communicator(), table.parameters,
                               {.logical_shards = leaves, .row_sparse = {"table"}});
    // Rows at the front, at the end, next to one another, more than half, none, one.
    const std::vector<Rows> rows_of_step{{0, 1, 9}, {8, 9}, {2, 3, 4, 6}, {0, 1, 2, 3, 4, 5, 6, 8},
                                         {},        {5},    {0, 1, 2},    {7}};
    for (auto& step : data_parallel.steps()) {
      const bool over = step.index() == rows_of_step.size();
      const Rows rows = over ? Rows{} : rows_of_step[step.index()];
      for (auto& shard : step.shards()) {
        if (over) {
          shard.weight(0.0);
          continue;
        }
        for (const std::uint32_t r : rows) {
          for (std::uint32_t c = 0; c < 3; ++c) table.gradients[r * 3 + c] = static_cast<float>(10 * r + c + 1);
        }
        shard.ready_rows(0, rows);
      }
      step.reduce();
      complaints.expect(world.rank(), over || step.used(0), "zeros are a gradient");
      const auto mean = step.gradient(0).as<float>();
      for (std::uint32_t e = 0; e < 30; ++e) {
        const bool touched = std::find(rows.begin(), rows.end(), e / 3) != rows.end();
        const float expected = touched ? static_cast<float>(10 * (e / 3) + e % 3 + 1) : 0.0f;
        complaints.expect(world.rank(), mean[e] == expected && !std::signbit(mean[e]),
                          "element " + std::to_string(e) + " of step " + std::to_string(step.index()));
      }
    }
  });
  CAPTURE(ranks, leaves);
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a row-sparse parameter that nobody announces is skipped by the optimizer") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    RowTable table(10, 3);
    DataParallel data_parallel(world.communicator(), table.parameters, {.row_sparse = {"table"}});
    Sgd sgd({.learning_rate = 0.1, .l2_penalty = 0.1});  // a zero gradient would still move it
    DistributedSampler sampler({.count = 4, .global_batch = 2});
    for (auto& step : data_parallel.steps(sampler)) {
      const bool announced = step.index() == 1;
      for (auto& shard : step.shards()) {
        if (announced && world.rank() == 1) shard.ready_rows(0, {});
      }
      step.reduce();
      const auto before = table.values;
      step.apply(sgd);
      complaints.expect(world.rank(), step.used(0) == announced && (table.values != before) == announced, "used");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("rows that are no rows of the parameter are refused, and the step can still be finished") {
  const int ranks = GENERATE(1, 2);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    const int rank = world.rank();
    RowTable table(10, 2);
    std::vector<float> bias(3), bias_gradient(3, 1.0f);
    auto parameters = table.parameters;
    parameters.push_back({"bias", {3}, std::span<float>(bias), std::span<float>(bias_gradient)});
    DataParallel data_parallel(world.communicator(), parameters, {.row_sparse = {"table"}});
    DistributedSampler sampler({.count = 4, .global_batch = 2});
    for (auto& step : data_parallel.steps(sampler)) {
      Shard* last = nullptr;
      for (auto& shard : step.shards()) {
        const auto ready_rows = [&](std::size_t p, const Rows& rows) {
          return [&, p, rows] { shard.ready_rows(p, rows); };
        };
        complaints.expect_refusal(rank, "ready_rows(): there is no parameter 2 among 2", ready_rows(2, {0}));
        complaints.expect_refusal(rank, "'bias' is not among DataParallelOptions::row_sparse", ready_rows(1, {0}));
        complaints.expect_refusal(rank, "'table': row 4 is named twice", ready_rows(0, {1, 4, 4}));
        complaints.expect_refusal(rank, "'table': row 3 stands behind row 4", ready_rows(0, {1, 4, 3}));
        complaints.expect_refusal(rank, "'table': there is no row 10 among 10", ready_rows(0, {1, 10}));
        shard.weight(2.0);  // nothing was announced yet
        std::fill(table.gradients.begin(), table.gradients.end(), 5.0f);
        shard.ready_rows(0, Rows{1, 4});
        complaints.expect_refusal(rank, "'table' was ready before in this shard", ready_rows(0, {1}));
        complaints.expect_refusal(rank, "'table' was ready before in this shard", [&] { shard.ready(0); });
        shard.ready(1);
        last = &shard;
      }
      complaints.expect_refusal(rank, "no shard is under way", [&] { last->ready_rows(0, {}); });
      step.reduce();
      const auto mean = step.gradient(0).as<float>();
      complaints.expect(rank, mean[2] == 5.0f && mean[9] == 5.0f && mean[4] == 0.0f, "the rows that were accepted");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("row_sparse names what there is, and what has rows") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    RowTable table(10, 2);
    auto parameters = table.parameters;
    float scale = 1.0f, scale_gradient = 0.0f;
    parameters.push_back({"scale", {}, std::span<float>(&scale, 1), std::span<float>(&scale_gradient, 1)});
    const auto made_with = [&](const std::vector<std::string>& names, bool views) {
      return [&world, &parameters, names, views] {
        DataParallel(world.communicator(), parameters, {.gradients_as_bucket_views = views, .row_sparse = names});
      };
    };
    complaints.expect_refusal(0, "row_sparse: no parameter is named 'tables'", made_with({"table", "tables"}, false));
    complaints.expect_refusal(0, "no parameter is named 'embedding.*'", made_with({"embedding.*"}, false));
    complaints.expect_refusal(0, "'scale' f32 {}, row-sparse: its first dimension", made_with({"*"}, false));
    parameters[0].gradient = parameters[0].value;
    complaints.expect_refusal(0, "value and gradient share memory", made_with({"table"}, true));
    parameters[0].gradient.data = nullptr;
    complaints.expect_refusal(0, "value or gradient is null", made_with({"table"}, false));
    made_with({"t*e"}, true)();
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("ranks that disagree on what is row-sparse are refused, both sides named") {
  const auto thrown = run_ranks_collecting(3, [](World& world) {
    RowTable table(10, 2);
    DataParallelOptions options;
    if (world.rank() == 2) options.row_sparse = {"table"};
    const DataParallel data_parallel(world.communicator(), table.parameters, options);
  });
  for (const auto& each : thrown) {
    const Error error = error_of(each);
    REQUIRE(error.code == ErrorCode::mismatch);
    REQUIRE_THAT(error.message,
                 Contains("rank 0 has 'table' f32 {10, 2};") && Contains("rank 2 has 'table' f32 {10, 2}, row-sparse"));
  }
}

TEST_CASE("gradients of row-sparse parameters stay where they are, or get memory beside the bucket views") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    RowTable kept(10, 2), given(6, 2);
    std::vector<Parameter> parameters{kept.parameters[0], given.parameters[0]};
    parameters[0].name = "kept";
    parameters[1].name = "given";
    parameters[1].gradient.data = nullptr;
    DataParallel data_parallel(world.communicator(), parameters,
                               {.gradients_as_bucket_views = true, .row_sparse = {"kept", "given"}});
    const auto& placed = data_parallel.parameters();
    complaints.expect(world.rank(), placed[0].gradient.data == kept.gradients.data(), "kept");
    complaints.expect(world.rank(), placed[1].gradient.data != nullptr && placed[1].gradient.count == 12, "given");
    const void* const place = placed[1].gradient.data;
    data_parallel.rebind(world.communicator());
    complaints.expect(world.rank(), data_parallel.parameters()[1].gradient.data == place, "through rebind()");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a trace has the rows of every step gathered, reduced and waited for, on a track of their own") {
  const int ranks = GENERATE(1, 3);
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    telemetry::SpanRecorder recorder(1000);
    RowTable table(100, 2);
    DataParallel data_parallel(world.communicator(), table.parameters, {.row_sparse = {"table"}, .trace = &recorder});
    DistributedSampler sampler({.count = 12, .global_batch = 6});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) shard.ready_rows(0, Rows{1, 50});
      step.reduce();
    }
    const auto count_of = [&](const std::string& name, const std::string& track) {
      std::ptrdiff_t found = 0;
      for (const auto& event : recorder.events()) {
        if (event.name == name && recorder.tracks()[static_cast<std::size_t>(event.track)] == track) ++found;
      }
      return found;
    };
    complaints.expect(world.rank(), count_of("gather row counts", "small reductions") == 2, "counts");
    complaints.expect(world.rank(), count_of("gather rows", "rows table") == 2, "indices");
    complaints.expect(world.rank(), count_of("reduce", "rows table") == 2, "reduced");
    complaints.expect(world.rank(), count_of("wait", "steps") == 2, "waited for");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a sum of rows has the bits of the sum of all rows, signs of zeros included") {
  const std::size_t columns = GENERATE(1, 3);
  constexpr std::uint32_t rows = 6;
  const DType dtype = DType::f32;
  parallel::RowSum::Workspace workspace;
  std::vector<parallel::RowSum> sums(2, {columns, dtype});
  for (std::uint64_t round = 0; round < 2000; ++round) {
    std::vector<std::vector<float>> dense(2, std::vector<float>(rows * columns));
    for (std::uint64_t leaf = 0; leaf < 2; ++leaf) {
      const std::uint64_t seed = 2 * round + leaf;
      std::vector<float> gradient(rows * columns, 99.0f);  // what is touched by nobody is not read
      if (mix(seed) % 4 == 0) {
        sums[leaf].assign_identity();
        std::fill(dense[leaf].begin(), dense[leaf].end(), -0.0f);
        continue;
      }
      Rows touched;
      const std::uint64_t rarity = 1 + mix(seed + 9) % 5;
      for (std::uint32_t r = 0; r < rows; ++r) {
        if (mix(seed * 100 + r) % rarity != 0) continue;
        touched.push_back(r);
        for (std::size_t e = r * columns; e < (r + 1) * columns; ++e) {
          const float choices[] = {-0.0f, 0.0f, 0.1f, -0.7f};
          gradient[e] = choices[mix(seed * 1000 + e) % 4];
          dense[leaf][e] = gradient[e] * 3.0f;
        }
      }
      sums[leaf].assign(std::span(gradient), touched, 3.0);
    }
    sums[0].add(sums[1], workspace);
    for (std::size_t e = 0; e < dense[0].size(); ++e) dense[0][e] += dense[1][e];
    std::vector<float> laid_out(rows * columns), among(rows * columns);
    sums[0].lay_out_all(reinterpret_cast<std::byte*>(laid_out.data()), rows);
    sums[0].lay_out(reinterpret_cast<std::byte*>(among.data()), range_of_rows(0, rows));
    const auto same = [&](const std::vector<float>& found) {
      return std::equal(found.begin(), found.end(), dense[0].begin(),
                        [](float a, float b) { return a == b && std::signbit(a) == std::signbit(b); });
    };
    CAPTURE(round, columns);
    REQUIRE((same(laid_out) && same(among)));
  }
}
