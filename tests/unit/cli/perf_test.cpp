// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/bound.hpp"
#include "cli/perf/json_file.hpp"
#include "cli/perf/measure.hpp"
#include "cli/perf/memory.hpp"
#include "cli/perf/options.hpp"
#include "cli/perf/pattern.hpp"
#include "cli/perf/socket_ring.hpp"
#include "cli/perf/statistics.hpp"
#include "cli/perf/table.hpp"
#include "cli/perf/verify.hpp"
#include "cli/perf/yield_ring.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>

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
  CHECK(perf_counts(parsed({"all_reduce"}), 2).size() == 14);
  CHECK(perf_counts(parsed({"all_reduce"}), 2).back() == (256u << 20) / 4);
  CHECK(perf_counts(parsed({"all_reduce", "--min-bytes", "4", "--max-bytes", "100"}), 2) ==
        std::vector<std::size_t>{1, 4, 16});
  CHECK(perf_counts(parsed({"all_reduce", "--min-bytes", "1", "--max-bytes", "16", "--factor", "2", "--dtype", "f64"}),
                    2) == std::vector<std::size_t>{1, 2});
  CHECK(perf_counts(parsed({"all_reduce", "--min-bytes", "6", "--max-bytes", "7"}), 2) == std::vector<std::size_t>{1});
}

TEST_CASE("The sizes of a row are those of nccl-tests: of all blocks together, in whole blocks") {
  const auto counts = [](const char* operation, int ranks) {
    return perf_counts(parsed({operation, "--min-bytes", "4", "--max-bytes", "64"}), ranks);
  };
  CHECK(counts("broadcast", 4) == std::vector<std::size_t>{1, 4, 16});
  CHECK(counts("all_gather", 4) == std::vector<std::size_t>{1, 4});  // one element each is 16 bytes in all
  CHECK(counts("all_to_all", 3) == std::vector<std::size_t>{1, 5});
  CHECK(counts("barrier", 4) == std::vector<std::size_t>{0});
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
      {{}, "invalid_argument: no operation given; this version measures: all_reduce, reduce_scatter, all_gather, "},
      {{"all_scatter"}, "invalid_argument: unknown operation 'all_scatter'; this version measures: all_reduce, "},
      {{"broadcast", "--op", "sum"}, "--op: broadcast combines nothing"},
      {{"all_reduce", "--root", "1"}, "--root: all_reduce has no root"},
      {{"reduce", "--algorithm", "tree"}, "--algorithm is for all_reduce"},
      {{"all_reduce", "--cold", "--warm"}, "--cold and --warm exclude each other"},
      {{"all_reduce", "--dtype", "bool"}, "--op sum is not defined on --dtype bool"},
      {{"all_reduce", "-n", "2"}, "-n (--ranks) is for --compare"},
      {{"all_reduce", "--compare", "nccl"}, "--compare is 'nccl': give mpi, mpich, gloo or bound"},
      {{"all_reduce", "--compare", "bound", "--dtype", "f64"}, "--compare bound: the bare kernels add f32"},
      {{"all_reduce", "--compare", "bound", "--warm"}, "--compare bound: the bare kernels add f32"},
      {{"all_reduce", "--compare", "bound", "-n", "4", "--memory", "foreign"}, "they are for 2 ranks"},
      {{"all_reduce", "--compare", "bound", "-n", "9"}, "they are for 2 to 8 ranks"},
      {{"all_reduce", "--compare", "mpi", "--placement", "far"}, "--placement is 'far': give near or any"},
      {{"all_reduce", "--placement", "any"}, "--placement is for --compare"},
      {{"broadcast", "--compare", "mpi"}, "--compare: the peers measure all_reduce, not broadcast"},
      {{"all_reduce", "--compare", "mpi", "--dtype", "f16"}, "--compare: the peers add f64, f32, i64 or i32, not f16"},
      {{"all_reduce", "--compare", "gloo", "--transport", "shm"}, "Gloo has no shared memory"},
      {{"all_reduce", "--frobnicate"}, "unknown flag '--frobnicate'"},
      {{"all_reduce", "--dtype", "f12"}, "invalid_argument: --dtype is 'f12'"},
      {{"all_reduce", "--op", "xor"}, "--op is 'xor'"},
      {{"all_reduce", "--op", "average", "--dtype", "i32"}, "--op average needs a floating --dtype"},
      {{"all_reduce", "--engine", "quipu"},
       "--engine is 'quipu': give auto, host or mpi, or with --device nccl or device"},
      {{"all_reduce", "--engine", "nccl", "--device", "cpu"}, "--engine nccl is for device memory: give --device cuda"},
      {{"all_reduce", "--engine", "device"}, "--engine device is for device memory: give --device cuda or emulated"},
      {{"all_reduce", "--engine", "nccl", "--device", "emulated"}, "unsupported: --engine nccl serves CUDA devices"},
      {{"all_reduce", "--engine", "quipu", "--device", "cuda"},
       "--engine is 'quipu': give auto, nccl, device, host or"},
      {{"all_reduce", "--engine", "nccl", "--transport", "tcp"}, "--transport is not for --engine nccl"},
      {{"all_reduce", "--device", "abacus"}, "--device"},
      {{"all_reduce", "--device", "cuda", "--memory", "arena"},
       "--memory is of host memory: --device cuda has its own"},
      {{"all_reduce", "--device", "emulated", "--algorithm", "tree"}, "--algorithm is of host memory"},
      {{"all_reduce", "--device", "cuda", "--compare", "mpi"},
       "--compare: the peers measure host memory, not --device cuda"},
      {{"barrier", "--device", "cuda"}, "--device cuda: barrier moves no memory"},
      {{"all_reduce", "--in-place"}, "--in-place is for --device"},
      {{"all_reduce", "--out-of-place"}, "--out-of-place is for --device"},
      {{"all_gather", "--device", "cuda", "--in-place", "--out-of-place"}, "--in-place and --out-of-place exclude"},
      {{"all_gather", "--device", "cuda", "--in-place", "--warm"}, "--in-place and --warm exclude each other"},
      {{"send_recv", "--device", "cuda", "--in-place"}, "--in-place: send_recv has two buffers"},
      {{"broadcast", "--device", "cuda", "--out-of-place"}, "--out-of-place: broadcast has one buffer"},
      {{"all_reduce", "--memory", "gpu"}, "--memory is 'gpu'"},
      {{"all_reduce", "--factor", "1"}, "--factor must be from 2"},
      {{"all_reduce", "--min-bytes", "8", "--max-bytes", "4"}, "--min-bytes is above --max-bytes"},
      {{"all_reduce", "--max-bytes", "1TB"}, "--max-bytes is '1TB'"},
      {{"all_reduce", "--iterations", "0"}, "--iterations must be from 1"},
      {{"all_reduce", "--warmup", "0"}, "--warmup must be from 1"},
      {{"all_reduce", "--algorithm", "bruck"},
       "--algorithm is 'bruck': give one of auto, direct, recursive_doubling, tree, halving_doubling, ring"},
      {{"all_reduce", "--algorithm", "foo"}, "invalid_argument: --algorithm is 'foo': give one of auto, direct"},
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
  const auto factor = [](const char* operation, int ranks) {
    return find_perf_operation(operation)->bus_factor(ranks);
  };
  CHECK(factor("all_reduce", 1) == 0.0);
  CHECK(factor("all_reduce", 2) == 1.0);
  CHECK(factor("all_reduce", 4) == 1.5);
  for (const char* operation : {"reduce_scatter", "all_gather", "gather", "scatter", "all_to_all"})
    CHECK(factor(operation, 4) == 0.75);
  for (const char* operation : {"broadcast", "reduce", "send_recv"}) CHECK(factor(operation, 4) == 1.0);
}

TEST_CASE("The interval of a median holds it with the probability of order statistics") {
  const MedianInterval nine = median_interval({9, 8, 7, 6, 5, 4, 3, 2, 1});
  CHECK(nine.low == 2);
  CHECK(nine.median == 5);
  CHECK(nine.high == 8);
  CHECK(nine.confidence == Approx(1.0 - 20.0 / 512.0));  // 2 (C(9,0) + C(9,1)) of 2^9 leave it out
  const MedianInterval three = median_interval({3, 1, 2});
  CHECK(three.low == 1);
  CHECK(three.high == 3);
  CHECK(three.confidence == Approx(0.75));
  CHECK(median_interval({7}).confidence == 0.0);
  CHECK(median_interval({}).median == 0.0);
}

TEST_CASE("Every dtype and operation is verified exactly, and a wrong element is found wherever it is") {
  const auto dtype = static_cast<DType>(GENERATE(range(0, dtype_count)));
  const auto op = GENERATE(sum, product, minimum, maximum, average);
  if (op.kind == ReduceKind::average && !is_floating(dtype)) return;
  if (op.kind == ReduceKind::sum && dtype == DType::boolean) return;
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
      wrong += pattern.wrong(bytes, iteration, everyone);
    }
    bytes[0] ^= std::byte{1};
    bytes[(count - 1) * size_of(dtype)] ^= std::byte{1};
    const std::lock_guard lock(mutex);
    CHECK(wrong == 0);
    CHECK(pattern.wrong(bytes, 1000, everyone) == 2);
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

TEST_CASE("Every operation is measured and verified, cold and warm, beside its yardstick") {
  const std::string operation = GENERATE("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce", "gather",
                                         "scatter", "all_to_all", "send_recv", "barrier");
  const auto ranks = GENERATE(1, 2, 3);
  const std::string cache = GENERATE("--cold", "--warm");
  std::vector<std::string> arguments{operation, "--iterations", "3", "--warmup", "1", cache};
  if (find_perf_operation(operation)->rooted) arguments.insert(arguments.end(), {"--root", std::to_string(ranks - 1)});
  const PerfOptions options = parsed(arguments);
  const std::size_t count = operation == "barrier" ? 0 : 700;
  std::mutex mutex;  // assertions are not for several threads at a time
  testing::run_ranks(ranks, [&](World& world) {
    PerfBench bench(world, options, {count});
    const PerfRow row = bench.measure(count);
    const std::lock_guard lock(mutex);
    INFO(operation << " on " << ranks);
    CHECK(row.wrong == 0);
    CHECK(row.bytes == options.operation->blocks(ranks) * count * 4);
    CHECK(row.iterations == 3);
    CHECK(row.time_us > 0);
    CHECK(row.p99_us >= row.time_us);
    CHECK(row.bound_us.has_value() == (ranks > 1));
    CHECK(bench.bound() == (ranks > 1 ? BoundKind::zero_copy : BoundKind::none));
  });
}

TEST_CASE("Over TCP the yardstick is an exchange, where every rank sends as much as it gets, and else there is none") {
  const std::string operation = GENERATE("all_reduce", "send_recv", "broadcast", "gather", "barrier");
  const PerfOptions options = parsed({operation, "--iterations", "2", "--memory", "foreign"});
  const bool exchanges = operation == "all_reduce" || operation == "send_recv";
  std::mutex mutex;
  testing::run_ranks(2,
                     [&](World& world) {
                       PerfBench bench(world, options, perf_counts(parsed({operation, "--max-bytes", "64K"}), 2));
                       const PerfRow row = bench.measure(operation == "barrier" ? 0 : 5000);
                       const std::lock_guard lock(mutex);
                       CHECK(row.wrong == 0);
                       CHECK(bench.bound() == (exchanges ? BoundKind::sockets : BoundKind::none));
                       CHECK(row.bound_us.has_value() == exchanges);
                     },
                     {.transport = "tcp"});
}

TEST_CASE("The zero-copy kernel computes every combination exactly, on any number of ranks") {
  const auto dtype = GENERATE(DType::f32, DType::bf16, DType::u8);
  const auto ranks = GENERATE(2, 3, 4);
  const std::string operation = GENERATE("all_reduce", "reduce_scatter", "reduce");
  const auto count = GENERATE(as<std::size_t>{}, 1, 5, 9001);
  const ReduceOp op = dtype == DType::f32 ? average : sum;
  std::vector<std::size_t> wrong(static_cast<std::size_t>(ranks), 1);
  testing::run_ranks(ranks, [&](World& world) {
    const PerfOperation& measured = *find_perf_operation(operation);
    const bool in_place = measured.place != PerfPlace::separate;
    const Rotation rotation(measured.blocks(ranks) * count * size_of(dtype), true);
    const PerfPattern pattern(dtype, op.kind, world.rank(), ranks);
    ZeroCopy kernel(world.communicator(), {.operation = &measured,
                                           .dtype = dtype,
                                           .op = op,
                                           .root = 1,
                                           .input_bytes = rotation.bytes(),
                                           .output_bytes = in_place ? 0 : rotation.bytes()});
    if (!kernel.possible()) return;
    const Verify verify{pattern, measured, world.rank(), ranks, 1};
    std::size_t bad = 0;
    for (const std::uint64_t turn : {0u, 1u, 9u}) {
      pattern.fill(kernel.input(count, turn), turn);
      kernel.run(count, turn);
      bad += verify.wrong(kernel.output(count, turn), count, turn);
    }
    wrong[static_cast<std::size_t>(world.rank())] = bad;
  });
  for (const std::size_t bad : wrong) CHECK(bad == 0);
}

TEST_CASE("A block that lands at the wrong place, or comes from the wrong rank, is seen") {
  const PerfOperation& operation = *find_perf_operation("all_to_all");
  const PerfPattern pattern(DType::f32, ReduceKind::max, 1, 2);
  const Verify verify{pattern, operation, 1, 2, 0};
  const std::size_t count = 100;
  std::vector<std::byte> from_0(800), from_1(800), result(800);
  PerfPattern(DType::f32, ReduceKind::max, 0, 2).fill(from_0, 3);
  pattern.fill(from_1, 3);
  const auto assemble = [&](const std::vector<std::byte>& first, std::ptrdiff_t at,
                            const std::vector<std::byte>& second) {
    std::copy_n(first.begin() + at, 400, result.begin());
    std::copy_n(second.begin() + 400, 400, result.begin() + 400);
  };
  assemble(from_0, 400, from_1);  // block 1 of either is that of rank 1
  CHECK(verify.wrong(result, count, 3) == 0);
  CHECK(verify.wrong(result, count, 2) > 100);  // a result left from the call before
  assemble(from_0, 0, from_1);
  CHECK(verify.wrong(result, count, 3) > 50);
  assemble(from_1, 400, from_0);
  CHECK(verify.wrong(result, count, 3) > 100);
}

TEST_CASE("Calls take buffers in turn, apart from each other and no more than the caches ask for") {
  const Rotation small(100, true);
  CHECK(small.buffers() == Rotation::most);
  CHECK(small.offset(0) == 0);
  CHECK(small.offset(1) == 128);
  CHECK(small.offset(Rotation::most) == 0);
  CHECK(Rotation(std::size_t{16} << 20, true).buffers() == 2);
  CHECK(Rotation(std::size_t{256} << 20, true).buffers() == 1);
  CHECK(Rotation(100, false).buffers() == 1);
  CHECK(Rotation(0, true).bytes() == 0);
}

TEST_CASE("The JSON file is whole after every row") {
  const std::string name = "perf_test_rows.json";
  const auto content = [&] {
    std::ifstream stream(name);
    return std::string{std::istreambuf_iterator<char>(stream), {}};
  };
  JsonFile file(name);
  file.write("a long text");
  CHECK(content() == "a long text");
  file.write("short");
  CHECK(content() == "short");
  file.finish();
  CHECK(content() == "short");
  std::remove(name.c_str());
  CHECK_THROWS_WITH(JsonFile("/nowhere/at/all.json"), Contains("--json: cannot write '/nowhere/at/all.json'"));
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
  CHECK_THAT(perf_heading(options, {.ranks = 2, .bound = BoundKind::zero_copy}), !Contains("nothing is exchanged"));
}

TEST_CASE("The JSON of perf has the keys of the contract") {
  const PerfOptions options = parsed({"all_reduce", "--dtype", "f64", "--op", "max", "--memory", "foreign"});
  const PerfEnvironment environment{.version = "1.2.3",
                                    .host = "h",
                                    .processors = 2,
                                    .ranks = 4,
                                    .ranks_on_host = 4,
                                    .transport = "shm",
                                    .engine = "mpi"};
  const PerfRow row{.bytes = 24,
                    .count = 3,
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
  const auto expected = nlohmann::json::parse(
      R"({"operation": "all_reduce", "bytes": 24, "count": 3, "dtype": "f64", "op": "max", "root": -1,
    "algorithm": "tree", "engine": "mpi", "transport": "shm", "memory": "foreign", "ranks": 4, "time_us": 1.5, "p50_us": 1.5, "p99_us": 2.5,
    "algbw_GBps": 3.5, "busbw_GBps": 4.5, "wrong": 6, "bound_us": 0.5, "iterations": 9})");
  CHECK(json["rows"][0] == expected);
  const auto moved = nlohmann::json::parse(perf_json(parsed({"scatter", "--root", "2"}), environment, {PerfRow{}}));
  CHECK(moved["rows"][0]["op"] == "none");
  CHECK(moved["rows"][0]["root"] == 2);
  CHECK(moved["rows"][0]["algorithm"].is_null());
  CHECK(moved["rows"][0]["bound_us"].is_null());
  CHECK_THAT(perf_line(options, row), Contains("tree") && Contains(" 24 ") && Contains("4.500"));
  CHECK(json["environment"].count("yield_ring") == 0);
  PerfEnvironment crowded = environment;
  crowded.yield_ring = YieldRing{.p50_us = 9, .p99_us = 12.5};
  CHECK(nlohmann::json::parse(perf_json(options, crowded, {}))["environment"]["yield_ring"]["p99_us"] == 12.5);
  CHECK_THAT(perf_heading(options, crowded), Contains("with sched_yield takes 9.00 us, p99 12.50 us"));
  CHECK_THAT(perf_heading(options, environment), Contains("# bound: ") && Contains("bound_us\n"));
}

TEST_CASE("The ring of the scheduler gives every rank what rank 0 has measured, and counts every round") {
  std::array<std::optional<YieldRing>, 3> found;
  trireme::testing::run_ranks(3, [&](World& world) {
    found[static_cast<std::size_t>(world.rank())] = measure_yield_ring(world.communicator());
  });
  for (const auto& each : found) {
    REQUIRE(each);
    CHECK(each->p50_us > 0);
    CHECK(each->p99_us >= each->p50_us);
    CHECK(each->p99_us == found[0]->p99_us);
  }
}
