// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "trireme/base/error.hpp"
#include "trireme/plan/graph.hpp"

#include <algorithm>
#include <array>

namespace trireme::cli {
namespace {

constexpr std::uint64_t volume_per_size = std::uint64_t{1} << 30;
constexpr std::uint64_t most_iterations = 1'000'000;
constexpr Bytes largest{std::uint64_t{1} << 40};

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

ReduceOp parse_op(const std::string& name) {
  constexpr std::array<ReduceOp, 5> all{sum, product, minimum, maximum, average};
  for (const ReduceOp& op : all) {
    if (name == name_of(op.kind)) return op;
  }
  refuse("--op is '" + name + "': give sum, product, min, max or average");
}

struct Typed {
  std::string operation, min_bytes = "4", max_bytes = "256M", dtype = "f32", op = "sum", algorithm, transport,
                         engine = "host", memory = "arena", order = "canonical", json;
  std::uint64_t factor = 4, iterations = 0, warmup = 3;
  bool explain = false;
};

void describe(Arguments& flags, Typed& typed) {
  flags.option("OP", typed.operation, "what to measure: all_reduce");
  flags.option("--min-bytes", typed.min_bytes,
               "smallest vector (default 4; suffixes K, M, G; below one element: one element)");
  flags.option("--max-bytes", typed.max_bytes, "largest vector (default 256M); every rank holds two of it");
  flags.option("--factor", typed.factor, "between one size and the next (default 4)", {.least = 2, .most = 1 << 20});
  flags.option("--dtype", typed.dtype, "f64, f32 (default), f16, bf16, i64, i32, u8");
  flags.option("--op", typed.op, "sum (default), product, min, max, average");
  flags.option("--order", typed.order, "canonical (default) or fastest");
  flags.option("--algorithm", typed.algorithm,
               "auto, direct, recursive_doubling, tree, ring (default: TRIREME_ALGORITHM)");
  flags.option("--engine", typed.engine, "host (default)");
  flags.option("--transport", typed.transport, "auto, shm, tcp (default: TRIREME_TRANSPORT)");
  flags.option("--memory", typed.memory, "arena (default): what other ranks read in place; foreign: any other");
  flags.option("--json", typed.json, "file to write the rows to as well");
  flags.option("--iterations", typed.iterations, "timed calls of each size (default: 8 to 200, about 1 GiB in all)",
               {.least = 1, .most = most_iterations});
  flags.option("--warmup", typed.warmup, "calls before them, verified and not timed, at least 1 (default 3)",
               {.least = 1, .most = most_iterations});
  flags.flag("--explain", typed.explain, "say for each size which algorithm was chosen and why");
}

PerfOptions check(const Arguments& flags, const Typed& typed) {
  const auto given = [&](const char* flag) { return flags.given(flag); };
  constexpr const char* known = "this version measures: all_reduce";
  if (typed.operation.empty()) refuse(std::string("no operation given; ") + known);
  if (typed.operation != "all_reduce") refuse("unknown operation '" + typed.operation + "'; " + known);

  PerfOptions options;
  options.min_bytes = parse_byte_size(typed.min_bytes, "--min-bytes");
  options.max_bytes = parse_byte_size(typed.max_bytes, "--max-bytes");
  if (options.max_bytes > largest) refuse("--max-bytes must be at most 1024G");
  if (options.min_bytes > options.max_bytes) refuse("--min-bytes is above --max-bytes");
  options.factor = typed.factor;
  if (!parse_dtype(typed.dtype, options.dtype))
    refuse("--dtype is '" + typed.dtype + "': give f64, f32, f16, bf16, i64, i32 or u8");
  if (!is_supported(options.dtype)) {
    fail(ErrorCode::unsupported,
         "unsupported --dtype " + typed.dtype + ": this version has f64, f32, f16, bf16, i64, i32 and u8");
  }
  options.op = parse_op(typed.op);
  if (options.op.kind == ReduceKind::average && !is_floating(options.dtype))
    refuse("--op average needs a floating --dtype");
  if (typed.order != "canonical" && typed.order != "fastest")
    refuse("--order is '" + typed.order + "': give canonical or fastest");
  options.order = typed.order == "fastest" ? ReductionOrder::fastest : ReductionOrder::canonical;
  if (typed.engine == "mpi" || typed.engine == "nccl") {
    fail(ErrorCode::unsupported, "unsupported --engine " + typed.engine + ": this version has host");
  }
  if (typed.engine != "host") refuse("--engine is '" + typed.engine + "': give host");
  if (typed.memory != "arena" && typed.memory != "foreign")
    refuse("--memory is '" + typed.memory + "': give arena or foreign");
  options.arena = typed.memory == "arena";
  plan::Algorithm algorithm{};
  if (given("--algorithm") && typed.algorithm != "auto" && !plan::parse_algorithm(typed.algorithm, algorithm))
    refuse("--algorithm is '" + typed.algorithm + "': give auto, direct, recursive_doubling, tree or ring");
  if (given("--algorithm")) options.algorithm = typed.algorithm;
  if (given("--transport") && typed.transport != "auto" && typed.transport != "shm" && typed.transport != "tcp")
    refuse("--transport is '" + typed.transport + "': give auto, shm or tcp");
  if (given("--transport")) options.transport = typed.transport;
  if (given("--json")) {
    if (typed.json.empty()) refuse("--json: the name of the file is empty");
    options.json = typed.json;
  }
  if (given("--iterations")) options.iterations = typed.iterations;
  options.warmup = typed.warmup;
  options.explain = typed.explain;
  return options;
}

}  // namespace

std::uint64_t PerfOptions::iterations_for(Bytes size) const {
  if (iterations) return *iterations;
  return std::clamp<std::uint64_t>(volume_per_size / std::max<std::uint64_t>(size.value, 1), 8, 200);
}

std::optional<PerfOptions> parse_perf_options(const std::vector<std::string>& arguments) {
  Typed typed;
  Arguments flags("Measures a collective, verifies it, and shows it beside what plain copies or sockets take here.",
                  "trireme perf");
  flags.footer(
      "Start it on several ranks: trireme run -n 2 -- trireme perf all_reduce. Alone, nothing is exchanged.\n"
      "bound_us is a yardstick, no limit: the line `# bound:` above the table says what was measured.");
  describe(flags, typed);
  if (!flags.parse(arguments)) return std::nullopt;
  return check(flags, typed);
}

std::vector<std::size_t> perf_counts(const PerfOptions& options) {
  std::vector<std::size_t> counts;
  const std::size_t element = size_of(options.dtype);
  std::uint64_t bytes = std::max<std::uint64_t>(options.min_bytes.value, 1);
  while (bytes <= options.max_bytes.value || counts.empty()) {
    const std::size_t count = std::max<std::size_t>(bytes / element, 1);
    if (counts.empty() || counts.back() != count) counts.push_back(count);
    bytes *= options.factor;
  }
  return counts;
}

}  // namespace trireme::cli
