// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "trireme/base/error.hpp"
#include "trireme/plan/graph.hpp"
#include "trireme/plan/plans.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <sstream>

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
  std::string operation, min_bytes = "4", max_bytes = "256M", dtype = "f32", op = "sum", algorithm, transport, engine,
                         device = "cpu", memory = "arena", order = "canonical", json, compare, placement = "near",
                         peer_args, peers_dir;
  std::uint64_t factor = 4, iterations = 0, warmup = 3, rounds = 9;
  int root = 0, ranks = 2;
  bool explain = false, cold = false, warm = false, in_place = false, out_of_place = false;
};

/// Those that a world takes: of all_reduce, on two ranks.
std::vector<plan::Algorithm> all_reduce_algorithms() {
  return plan::defined_algorithms({.collective = plan::Collective::all_reduce, .ranks = 2, .leaves = 2}, false);
}

std::string algorithms() {
  std::string names = "auto";
  for (const plan::Algorithm each : all_reduce_algorithms()) names += ", " + std::string(name_of(each));
  return names;
}

bool is_algorithm(const std::string& name) {
  const auto known = all_reduce_algorithms();
  plan::Algorithm algorithm{};
  return name == "auto" ||
         (plan::parse_algorithm(name, algorithm) && std::find(known.begin(), known.end(), algorithm) != known.end());
}

std::string dtypes() {
  std::string names;
  for (int value = 0; value < dtype_count; ++value) {
    if (!is_supported(static_cast<DType>(value))) continue;
    if (!names.empty()) names += ", ";
    names += name_of(static_cast<DType>(value));
  }
  return names;
}

void describe(Arguments& flags, Typed& typed) {
  flags.option("OP", typed.operation,
               "what to measure: " + perf_operation_names() + ", push_pull (perf push_pull --help)");
  flags.option("--min-bytes", typed.min_bytes,
               "smallest vector (default 4; suffixes K, M, G; below one element per block: that)");
  flags.option("--max-bytes", typed.max_bytes, "largest vector (default 256M)");
  flags.option("--factor", typed.factor, "between one size and the next (default 4)", {.least = 2, .most = 1 << 20});
  flags.option("--dtype", typed.dtype, dtypes() + " (default f32)");
  flags.option("--op", typed.op, "sum (default), product, min, max, average");
  flags.option("--root", typed.root, "the rank that sends or gets all (default 0)", {.least = 0});
  flags.option("--order", typed.order, "canonical (default) or fastest");
  flags.option("--algorithm", typed.algorithm, "of all_reduce: " + algorithms() + " (default: TRIREME_ALGORITHM)");
  flags
      .option("--device", typed.device,
              "cpu (default): host memory; cuda: memory of GPUs, one for each rank or shared by several, on streams; "
              "emulated: of devices that threads play, slowly, to try it where there is no GPU")
      .one_of({"cpu", "cuda", "emulated"});
  flags.option(
      "--engine", typed.engine,
      "auto, host, mpi (default: TRIREME_ENGINE); of device memory: auto, nccl (which alone means --device "
      "cuda), device, our own (default: TRIREME_DEVICE_ENGINE), or host or mpi: our own, and that one for what "
      "goes by way of the host");
  flags.option("--transport", typed.transport, "auto, shm, tcp (default: TRIREME_TRANSPORT)");
  flags.option("--memory", typed.memory, "arena (default): what other ranks read in place; foreign: any other");
  flags.flag("--cold", typed.cold, "inputs rewritten before every call, in buffers used in turn (default)");
  flags.flag("--warm", typed.warm, "one buffer, not rewritten between calls");
  flags.flag("--in-place", typed.in_place,
             "with --device: one memory, the own block in its place of the whole (default: where broadcast and cold "
             "all_reduce are anyway)");
  flags.flag("--out-of-place", typed.out_of_place, "with --device: results beside inputs");
  flags.option("--json", typed.json, "file to write the rows to as well, row after row");
  flags.option("--iterations", typed.iterations, "timed calls of each size (default: 8 to 200, about 1 GiB in all)",
               {.least = 1, .most = most_iterations});
  flags.option("--warmup", typed.warmup, "calls before them, verified and not timed, at least 1 (default 3)",
               {.least = 1, .most = most_iterations});
  flags.flag("--explain", typed.explain, "say for each size which algorithm was chosen and why");
  flags.option(
      "--compare", typed.compare,
      "mpi, mpich, gloo, or bound (bare kernels on shared memory): starts ranks of ours and of theirs in turn and prints "
      "the ratios (all_reduce)");
  flags.option("-n,--ranks", typed.ranks, "with --compare: ranks to start (default 2)", {.least = 1, .most = 1024});
  flags.option("--rounds", typed.rounds, "with --compare: how often each is started (default 9)",
               {.least = 1, .most = 1000});
  flags.option(
      "--placement", typed.placement,
      "with --compare: near (default) repeats what was measured while two processors were further apart than two "
      "cores of one cache, or siblings of one core, as virtual ones are at times; any");
  flags.option("--peer-args", typed.peer_args, "with --compare: more arguments for the peer's launcher, in one word");
  flags.option("--peers-dir", typed.peers_dir,
               "with --compare: folder of the peers' programs (default: peers/ beside this program)");
}

void check_sizes(const Typed& typed, PerfOptions& options) {
  options.min_bytes = parse_byte_size(typed.min_bytes, "--min-bytes");
  options.max_bytes = parse_byte_size(typed.max_bytes, "--max-bytes");
  if (options.max_bytes > largest) refuse("--max-bytes must be at most 1024G");
  if (options.max_bytes.value == 0) refuse("--max-bytes must be above 0");
  if (options.min_bytes > options.max_bytes) refuse("--min-bytes is above --max-bytes");
  options.factor = typed.factor;
}

void check_operation(const Arguments& flags, const Typed& typed, PerfOptions& options) {
  const std::string known = "this version measures: " + perf_operation_names() + ", push_pull";
  if (typed.operation.empty()) refuse("no operation given; " + known);
  options.operation = find_perf_operation(typed.operation);
  if (options.operation == nullptr) refuse("unknown operation '" + typed.operation + "'; " + known);
  const PerfOperation& operation = *options.operation;

  if (!parse_dtype(typed.dtype, options.dtype)) refuse("--dtype is '" + typed.dtype + "': give one of " + dtypes());
  if (!is_supported(options.dtype))
    fail(ErrorCode::unsupported, "unsupported --dtype " + typed.dtype + ": this version has " + dtypes());
  if (flags.given("--op") && !operation.reduces) refuse("--op: " + typed.operation + " combines nothing");
  options.op = parse_op(typed.op);
  if (options.op.kind == ReduceKind::average && !is_floating(options.dtype))
    refuse("--op average needs a floating --dtype");
  if (operation.reduces && options.dtype == DType::boolean && options.op.kind == ReduceKind::sum)
    refuse("--op sum is not defined on --dtype bool: give min, max or product");
  if (typed.order != "canonical" && typed.order != "fastest")
    refuse("--order is '" + typed.order + "': give canonical or fastest");
  options.order = typed.order == "fastest" ? ReductionOrder::fastest : ReductionOrder::canonical;
  if (flags.given("--root") && !operation.rooted) refuse("--root: " + typed.operation + " has no root");
  options.root = typed.root;

  if (!flags.given("--algorithm")) return;
  if (!operation.explains) refuse("--algorithm is for all_reduce: " + typed.operation + " has no choice");
  if (!is_algorithm(typed.algorithm)) refuse("--algorithm is '" + typed.algorithm + "': give one of " + algorithms());
  options.algorithm = typed.algorithm;
}

/// Which engine serves which memory; nccl has but one kind.
void check_engine(const Arguments& flags, const Typed& typed, PerfOptions& options) {
  const std::string& engine = typed.engine;
  const bool known = engine == "auto" || engine == "host" || engine == "mpi";
  options.device = typed.device == "cuda"       ? ComputeDevice::cuda
                   : typed.device == "emulated" ? ComputeDevice::emulated
                                                : ComputeDevice::cpu;
  options.device_given = flags.given("--device");
  if (!flags.given("--engine")) return;
  if (engine == "nccl" && !options.device_given) {
    options.device = ComputeDevice::cuda;
    options.device_given = true;
  }
  if (engine == "nccl" && options.device == ComputeDevice::emulated)
    fail(ErrorCode::unsupported, "--engine nccl serves CUDA devices, not emulated ones");
  if (!options.on_device()) {
    if (engine == "nccl" || engine == "device")
      refuse("--engine " + engine + " is for device memory: give --device cuda" +
             (engine == "device" ? " or emulated" : ""));
    if (!known) refuse("--engine is '" + engine + "': give auto, host or mpi, or with --device nccl or device");
    options.engine = engine;
    return;
  }
  if (!known && engine != "nccl" && engine != "device")
    refuse("--engine is '" + engine + "': give auto, nccl, device, host or mpi");
  const bool ours = engine == "host" || engine == "mpi";
  if (ours || engine == "auto") options.engine = engine;
  options.device_engine = ours ? "device" : engine;
}

/// What has no meaning for device memory, or for it alone.
void check_device_flags(const Arguments& flags, const Typed& typed, PerfOptions& options) {
  if (typed.in_place && typed.out_of_place) refuse("--in-place and --out-of-place exclude each other");
  const PerfOperation& operation = *options.operation;
  if (!options.on_device()) {
    for (const char* flag : {"--in-place", "--out-of-place"}) {
      if (flags.given(flag)) refuse(std::string(flag) + " is for --device");
    }
    return;
  }
  const std::string device = std::string("--device ") + name_of(options.device);
  if (operation.start == nullptr) refuse(device + ": " + typed.operation + " moves no memory");
  if (flags.given("--compare")) refuse("--compare: the peers measure host memory, not " + device);
  if (flags.given("--memory")) refuse("--memory is of host memory: " + device + " has its own");
  if (flags.given("--algorithm"))
    refuse(
        "--algorithm is of host memory: on devices --explain says what is taken (by way of the host "
        "TRIREME_ALGORITHM holds)");
  if (flags.given("--transport") && options.device_engine == "nccl")
    refuse("--transport is not for --engine nccl: NCCL has its own");
  if (typed.in_place && operation.apart) refuse("--in-place: " + typed.operation + " has two buffers");
  if (typed.out_of_place && operation.place == PerfPlace::in_place)
    refuse("--out-of-place: " + typed.operation + " has one buffer");
  if (typed.in_place && typed.warm && operation.place != PerfPlace::in_place)
    refuse("--in-place and --warm exclude each other: results would replace inputs that are not rewritten");
  if (typed.in_place || typed.out_of_place) options.nested = typed.in_place;
}

void check_place(const Arguments& flags, const Typed& typed, PerfOptions& options) {
  check_engine(flags, typed, options);
  if (typed.memory != "arena" && typed.memory != "foreign")
    refuse("--memory is '" + typed.memory + "': give arena or foreign");
  options.arena = typed.memory == "arena";
  if (typed.cold && typed.warm) refuse("--cold and --warm exclude each other");
  options.cold = !typed.warm;
  check_device_flags(flags, typed, options);
  if (!flags.given("--transport")) return;
  if (typed.transport != "auto" && typed.transport != "shm" && typed.transport != "tcp")
    refuse("--transport is '" + typed.transport + "': give auto, shm or tcp");
  options.transport = typed.transport;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

void check_compare(const Arguments& flags, const Typed& typed, PerfOptions& options) {
  if (!flags.given("--compare")) {
    for (const char* flag : {"--ranks", "--rounds", "--placement", "--peer-args", "--peers-dir"}) {
      if (flags.given(flag))
        refuse(std::string(flag == std::string_view("--ranks") ? "-n (--ranks)" : flag) +
               " is for --compare; see --help");
    }
    return;
  }
  const bool bound = typed.compare == "bound";
  if (typed.compare != "mpi" && typed.compare != "mpich" && typed.compare != "gloo" && !bound)
    refuse("--compare is '" + typed.compare + "': give mpi, mpich, gloo or bound");
  if (typed.operation != "all_reduce") refuse("--compare: the peers measure all_reduce, not " + typed.operation);
  if (options.dtype != DType::f32 && options.dtype != DType::f64 && options.dtype != DType::i32 &&
      options.dtype != DType::i64)
    refuse("--compare: the peers add f64, f32, i64 or i32, not " + typed.dtype);
  if (options.op.kind != ReduceKind::sum) refuse("--compare: the peers measure --op sum, not " + typed.op);
  if (typed.compare == "gloo" && options.transport == "shm") refuse("--compare gloo: Gloo has no shared memory");
  if (bound && (options.dtype != DType::f32 || !options.cold || options.transport == "tcp"))
    refuse("--compare bound: the bare kernels add f32 on shared memory, inputs rewritten");
  if (bound && typed.ranks != 2 && !options.arena) refuse("--compare bound: on foreign memory they are for 2 ranks");
  if (bound && (typed.ranks < 2 || typed.ranks > 8)) refuse("--compare bound: they are for 2 to 8 ranks");
  if (typed.explain) refuse("--explain shows nothing under --compare");
  if (typed.placement != "near" && typed.placement != "any")
    refuse("--placement is '" + typed.placement + "': give near or any");
  options.compare = CompareOptions{.peer = typed.compare,
                                   .ranks = typed.ranks,
                                   .rounds = typed.rounds,
                                   .near = typed.placement == "near",
                                   .peer_arguments = words_of(typed.peer_args)};
  if (flags.given("--peers-dir")) options.compare->peers_dir = typed.peers_dir;
}

PerfOptions check(const Arguments& flags, const Typed& typed) {
  PerfOptions options;
  check_operation(flags, typed, options);
  check_sizes(typed, options);
  check_place(flags, typed, options);
  if (flags.given("--json")) {
    if (typed.json.empty()) refuse("--json: the name of the file is empty");
    options.json = typed.json;
  }
  if (flags.given("--iterations")) options.iterations = typed.iterations;
  options.warmup = typed.warmup;
  options.explain = typed.explain;
  check_compare(flags, typed, options);
  return options;
}

}  // namespace

std::uint64_t PerfOptions::iterations_for(Bytes size) const {
  if (iterations) return *iterations;
  return std::clamp<std::uint64_t>(volume_per_size / std::max<std::uint64_t>(size.value, 1), 8, 200);
}

std::optional<PerfOptions> parse_perf_options(const std::vector<std::string>& arguments) {
  Typed typed;
  Arguments flags("Measures a collective, verifies it, and shows it beside what memory or sockets allow here.",
                  "trireme perf");
  flags.footer(
      "Start it on several ranks: trireme run -n 2 -- trireme perf all_reduce. Alone, nothing is exchanged.\n"
      "On device memory: trireme run -n 2 -- trireme perf all_reduce --device cuda.\n"
      "Next to other software it starts the ranks itself: trireme perf all_reduce --compare mpi -n 2.\n"
      "The line `# bound:` above the table says what the yardstick bound_us is.");
  describe(flags, typed);
  if (!flags.parse(arguments)) return std::nullopt;
  return check(flags, typed);
}

std::vector<std::size_t> perf_counts(const PerfOptions& options, int ranks) {
  if (options.operation->input == PerfBlocks::none) return {0};
  std::vector<std::size_t> counts;
  const std::size_t unit = size_of(options.dtype) * options.operation->blocks(ranks);
  std::uint64_t bytes = std::max<std::uint64_t>(options.min_bytes.value, 1);
  while (bytes <= options.max_bytes.value || counts.empty()) {
    const std::size_t count = std::max<std::size_t>(bytes / unit, 1);
    if (counts.empty() || counts.back() != count) counts.push_back(count);
    bytes *= options.factor;
  }
  return counts;
}

}  // namespace trireme::cli
