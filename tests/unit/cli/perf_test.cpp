// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/measure.hpp"
#include "cli/perf/memory.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/pattern.hpp"
#include "cli/perf/socket_ring.hpp"
#include "cli/perf/statistics.hpp"
#include "cli/perf/table.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <mutex>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;

namespace {

PerfOptions parsed(std::vector<std::string> arguments) {
  const auto options = parse_perf_options(arguments);
  REQUIRE(options);
  return *options;
}

std::string refusal(const std::vector<std::string>& arguments) {
  try {
    parse_perf_options(arguments);
  } catch (const Exception& exception) {
    return std::string(name_of(exception.error().code)) + ": " + exception.error().message;
  }
  return {};
}

}  // namespace

TEST_CASE("Perf goes from the smallest size to the largest by the factor, in whole elements") {
  CHECK(perf_counts(parsed({"all_reduce"})).size() == 14);
  CHECK(perf_counts(parsed({"all_reduce"})).back() == (256u << 20) / 4);
  CHECK(perf_counts(parsed({"all_reduce", "--min-bytes", "4", "--max-bytes", "100"})) ==
        std::vector<std::size_t>{1, 4, 16});
  CHECK(perf_counts(parsed({"all_reduce", "--min-bytes", "1", "--max-bytes", "16", "--factor", "2", "--dtype",
                            "f64"})) == std::vector<std::size_t>{1, 2});
  CHECK(perf_counts(parsed({"all_reduce", "--min-bytes", "6", "--max-bytes", "7"})) == std::vector<std::size_t>{1});
}

TEST_CASE("Small vectors are measured more often than large ones, unless told how often") {
  const PerfOptions options = parsed({"all_reduce"});
  CHECK(options.iterations_for(Bytes{4}) == 200);
  CHECK(options.iterations_for(Bytes{32u << 20}) == 32);
  CHECK(options.iterations_for(Bytes{256u << 20}) == 8);
  CHECK(parsed({"all_reduce", "--iterations", "3"}).iterations_for(Bytes{4}) == 3);
}

TEST_CASE("What perf cannot measure is refused in one line that says what it can") {
  using Arguments = std::vector<std::string>;
  const std::vector<std::pair<Arguments, std::string>> cases{
      {{}, "invalid_argument: no operation given; this version measures: all_reduce"},
      {{"broadcast"}, "invalid_argument: unknown operation 'broadcast'; this version measures: all_reduce"},
      {{"all_reduce", "--frobnicate"}, "unknown flag '--frobnicate'"},
      {{"all_reduce", "--dtype", "f12"}, "invalid_argument: --dtype is 'f12'"},
      {{"all_reduce", "--dtype", "f8e4m3"}, "unsupported: unsupported --dtype f8e4m3"},
      {{"all_reduce", "--op", "xor"}, "--op is 'xor'"},
      {{"all_reduce", "--op", "average", "--dtype", "i32"}, "--op average needs a floating --dtype"},
      {{"all_reduce", "--engine", "nccl"}, "unsupported: unsupported --engine nccl"},
      {{"all_reduce", "--memory", "gpu"}, "--memory is 'gpu'"},
      {{"all_reduce", "--factor", "1"}, "--factor must be from 2"},
      {{"all_reduce", "--min-bytes", "8", "--max-bytes", "4"}, "--min-bytes is above --max-bytes"},
      {{"all_reduce", "--max-bytes", "1TB"}, "--max-bytes is '1TB'"},
      {{"all_reduce", "--iterations", "0"}, "--iterations must be from 1"},
      {{"all_reduce", "--warmup", "0"}, "--warmup must be from 1"},
      {{"all_reduce", "--algorithm", "foo"}, "invalid_argument: --algorithm is 'foo': give auto, direct"},
      {{"all_reduce", "--transport", "mem"}, "invalid_argument: --transport is 'mem': give auto, shm or tcp"},
      {{"all_reduce", "--json", ""}, "--json"},
  };
  for (const auto& [arguments, expected] : cases) {
    INFO(expected);
    CHECK_THAT(refusal(arguments), Contains(expected));
  }
}

TEST_CASE("Percentiles are values that were measured") {
  CHECK(percentile({}, 0.5) == 0);
  CHECK(percentile({7}, 0.99) == 7);
  CHECK(percentile({4, 1, 3, 2}, 0.5) == 2);
  CHECK(percentile({4, 1, 3, 2}, 0.99) == 4);
  CHECK(percentile({4, 1, 3, 2}, 1.0) == 4);
}

TEST_CASE("An iteration takes as long as its slowest rank") {
  const std::vector<double> rows{1, 2, 3, /* rank 1 */ 3, 1, 2};
  CHECK(slowest(rows, 2) == std::vector<double>{3, 2, 3});
}

TEST_CASE("Bandwidths are those of nccl-tests") {
  CHECK(algorithm_bandwidth(Bytes{2'000'000'000}, 2.0) == 1.0);
  CHECK(algorithm_bandwidth(Bytes{8}, 0.0) == 0.0);
  CHECK(all_reduce_bus_bandwidth(4.0, 1) == 0.0);
  CHECK(all_reduce_bus_bandwidth(4.0, 2) == 4.0);
  CHECK(all_reduce_bus_bandwidth(4.0, 4) == 6.0);
}

TEST_CASE("Every dtype and operation is verified exactly, and a wrong element is found wherever it is") {
  const auto dtype = GENERATE(DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32, DType::u8);
  const auto op = GENERATE(sum, product, minimum, maximum, average);
  if (op.kind == ReduceKind::average && !is_floating(dtype)) return;
  const std::size_t count = PerfPattern::period + 100;
  std::mutex mutex;
  testing::run_ranks(3, [&](World& world) {
    auto communicator = world.communicator();
    const PerfPattern pattern(dtype, op.kind, world.rank(), world.size());
    std::vector<std::byte> bytes(count * size_of(dtype));
    const TensorView view(bytes.data(), count, dtype);
    std::size_t wrong = 0;
    for (const std::uint64_t iteration : {0u, 1u, 1000u}) {
      pattern.fill(bytes, iteration);
      communicator.all_reduce(view, view, op);
      wrong += pattern.wrong(bytes, iteration);
    }
    bytes[0] ^= std::byte{1};
    bytes[(count - 1) * size_of(dtype)] ^= std::byte{1};
    const std::lock_guard lock(mutex);
    CHECK(wrong == 0);
    CHECK(pattern.wrong(bytes, 1000) == 2);
  });
}

TEST_CASE("Inputs differ between ranks and iterations") {
  std::vector<std::byte> a(400), b(400), c(400);
  PerfPattern(DType::f32, ReduceKind::sum, 0, 2).fill(a, 0);
  PerfPattern(DType::f32, ReduceKind::sum, 1, 2).fill(b, 0);
  PerfPattern(DType::f32, ReduceKind::sum, 0, 2).fill(c, 1);
  CHECK(a != b);
  CHECK(a != c);
}

TEST_CASE("explain() names the algorithm that a setting asks for") {
  const auto named = [](const testing::RunRanksOptions& how) {
    std::vector<std::string> names(3);
    testing::run_ranks(
        3,
        [&](World& world) {
          names[static_cast<std::size_t>(world.rank())] = world.communicator().explain(1000).algorithm;
        },
        how);
    return names;
  };
  for (const auto& name : named({})) CHECK(name == "shared_memory");
  testing::RunRanksOptions tree;
  tree.world.algorithm = "tree";
  for (const auto& name : named(tree)) CHECK(name == "tree");
}

TEST_CASE("A measured row is verified and has a time, for arena and foreign memory") {
  const PerfOptions options =
      parsed({"all_reduce", "--iterations", "4", "--warmup", "1", "--memory", GENERATE("arena", "foreign")});
  const std::string transport = GENERATE("mem", "tcp");
  std::mutex mutex;  // assertions are not for several threads at a time
  testing::run_ranks(2,
                     [&](World& world) {
                       PerfBench bench(world, options, 5000);
                       const PerfRow row = bench.measure(5000);
                       const std::lock_guard lock(mutex);
                       CHECK(bench.bound() == (transport == "tcp" ? BoundKind::sockets : BoundKind::copy));
                       CHECK(row.wrong == 0);
                       CHECK(row.iterations == 4);
                       CHECK(row.time_us > 0);
                       CHECK(row.p99_us >= row.time_us);
                       CHECK(row.bound_us > 0);
                       CHECK(row.busbw == row.algbw);
                     },
                     {.transport = transport});
}

TEST_CASE("The socket ring carries whole vectors of any size from every rank to the next") {
  const auto ranks = GENERATE(2, 3);
  const auto size = GENERATE(as<std::size_t>{}, 0, 1, 3'000'001);  // the last is more than sockets buffer
  std::vector<int> arrived(static_cast<std::size_t>(ranks), 0);
  testing::run_ranks(ranks, [&](World& world) {
    auto communicator = world.communicator();
    SocketRing ring(communicator);
    const std::vector<std::byte> from(size, static_cast<std::byte>(world.rank() + 1));
    std::vector<std::byte> to(size);
    ring.exchange(from, to);
    ring.exchange(from, to);
    const int previous = (world.rank() + world.size() - 1) % world.size();
    arrived[static_cast<std::size_t>(world.rank())] =
        std::count(to.begin(), to.end(), static_cast<std::byte>(previous + 1)) == static_cast<std::ptrdiff_t>(size);
    communicator.barrier();
  });
  CHECK(std::count(arrived.begin(), arrived.end(), 1) == ranks);
}

TEST_CASE("Vectors that fit no machine are refused by the name of the flag, on all ranks alike") {
  std::vector<std::string> said(2);
  testing::run_ranks(2, [&](World& world) {
    require_memory(world, Bytes{1u << 20});
    try {
      require_memory(world, Bytes{std::uint64_t{1} << 60});
    } catch (const Exception& refusal) {
      if (refusal.error().code == ErrorCode::invalid_argument)
        said[static_cast<std::size_t>(world.rank())] = refusal.error().message;
    }
  });
  CHECK_THAT(said[0], Contains("--max-bytes is too large"));
  CHECK(said[0] == said[1]);
}

TEST_CASE("Perf on one rank says that nothing is exchanged, and how to start several") {
  const PerfOptions options = parsed({"all_reduce"});
  CHECK_THAT(perf_heading(options, {.ranks = 1}), Contains("nothing is exchanged") && Contains("trireme run -n 2"));
  CHECK_THAT(perf_heading(options, {.ranks = 2, .bound = BoundKind::copy}), !Contains("nothing is exchanged"));
}

TEST_CASE("The JSON of perf has the keys of the contract") {
  const PerfOptions options = parsed({"all_reduce", "--dtype", "f64", "--op", "max", "--memory", "foreign"});
  const PerfEnvironment environment{
      .version = "1.2.3", .host = "h", .processors = 2, .ranks = 4, .ranks_on_host = 4, .transport = "shm"};
  const PerfRow row{.count = 3,
                    .algorithm = "tree",
                    .iterations = 9,
                    .time_us = 1.5,
                    .p99_us = 2.5,
                    .algbw = 3.5,
                    .busbw = 4.5,
                    .wrong = 6,
                    .bound_us = 0.5};
  const auto json = nlohmann::json::parse(perf_json(options, environment, {row}));
  CHECK(json["environment"]["ranks"] == 4);
  REQUIRE(json["rows"].size() == 1);
  const auto expected =
      nlohmann::json::parse(R"({"operation": "all_reduce", "bytes": 24, "count": 3, "dtype": "f64", "op": "max",
    "algorithm": "tree", "engine": "host", "transport": "shm", "memory": "foreign", "ranks": 4, "time_us": 1.5, "p99_us": 2.5,
    "algbw_GBps": 3.5, "busbw_GBps": 4.5, "wrong": 6, "bound_us": 0.5, "iterations": 9})");
  CHECK(json["rows"][0] == expected);
  CHECK_THAT(perf_line(options, row), Contains("tree") && Contains(" 24 ") && Contains("4.500"));
  CHECK_THAT(perf_heading(options, environment), Contains("# bound: ") && Contains("bound_us\n"));
}
