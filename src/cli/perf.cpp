// SPDX-License-Identifier: Apache-2.0
#include "cli/compute_device.hpp"
#include "cli/doctor/machine.hpp"
#include "cli/perf/compare.hpp"
#include "cli/perf/device_bench.hpp"
#include "cli/perf/json_file.hpp"
#include "cli/perf/measure.hpp"
#include "cli/perf/memory.hpp"
#include "cli/perf/push_pull.hpp"
#include "cli/subcommand.hpp"
#include "engines/nccl/library.hpp"
#include "platform/processor_list.hpp"
#include "platform/seats.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace trireme::cli {
namespace {

PerfEnvironment describe_world(const World& world, const std::string& engine, BoundKind bound) {
  PerfEnvironment environment{.version = TRIREME_VERSION,
                              .host = world.host(world.rank()),
                              .processors = describe_machine().processors,
                              .ranks = world.size(),
                              .ranks_on_host = world.local_size(),
                              .transport = "self",
                              .engine = engine,
                              .bound = bound,
                              .device = describe_device(world),
                              .host_engine = world.engine()};
  for (int peer = 0; peer < world.size(); ++peer) {
    const std::string transport = world.transport(peer);
    if (transport == "self") continue;
    const bool first = environment.transport == "self";
    environment.transport = first || environment.transport == transport ? transport : "mixed";
  }
  return environment;
}

/// Whether the ranks, all on one host, cannot have a processor each among those they may run on.
bool more_ranks_than_processors(const World& world) {
  const std::string mine = platform::to_text(platform::allowed_processors());
  std::vector<platform::ProcessorList> lists;
  for (const auto& each :
       world.communicator().all_gather_bytes(std::as_bytes(std::span(mine)), {.label = "processors"})) {
    const std::string_view text(reinterpret_cast<const char*>(each.data()), each.size());
    lists.push_back(platform::parse_processors(text).value_or(platform::ProcessorList()));
  }
  return !platform::each_has_a_processor(lists, static_cast<int>(std::thread::hardware_concurrency()));
}

template <class Bench>
void check_algorithm(const Bench& bench, const PerfOptions& options, std::size_t count) {
  try {
    static_cast<void>(bench.explain(count));
  } catch (const Exception& refusal) {
    fail(refusal.error().code, (options.algorithm ? "--algorithm: " : "TRIREME_ALGORITHM: ") + refusal.error().message);
  }
}

void show(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// Before there is a world: what --engine nccl needs. Errors: unsupported, saying what is missing.
void require_nccl(const PerfOptions& options, const platform::Environment& environment) {
  if (options.device_engine != "nccl") return;
  if (const auto why = device::why_no_cuda(); !why.empty()) fail(ErrorCode::unsupported, "--engine nccl: " + why);
  if (const auto why = engines::nccl::why_not(environment.find("TRIREME_NCCL_LIBRARY").value_or("")); !why.empty())
    fail(ErrorCode::unsupported, "--engine nccl: " + why);
}

Options world_options(const PerfOptions& options, const platform::Environment& environment) {
  Options world{.transport = options.transport,
                .engine = options.engine,
                .device_engine = options.device_engine,
                .algorithm = options.algorithm,
                .arena_reserve = perf_arena_reserve(options.max_bytes)};
  choose_device(world, options.device, environment);
  return world;
}

/// Errors: those of World::open, which name a flag where they named what it set.
World open_world(const PerfOptions& options, const platform::Environment& environment) {
  try {
    return World::open(world_options(options, environment));
  } catch (const Exception& refusal) {
    Error told = refusal.error();
    for (const auto& [option, flag] :
         {std::pair{"Options::device_engine", "--engine"}, std::pair{"Options::engine", "--engine"},
          std::pair{"Options::algorithm", "--algorithm"}, std::pair{"Options::transport", "--transport"}}) {
      const std::string name = option;
      for (auto at = told.message.find(name); at != std::string::npos; at = told.message.find(name))
        told.message.replace(at, name.size(), flag);
    }
    throw Exception(told);
  }
}

/// Prints and writes a row for each size. Returns how many elements were wrong.
template <class Bench>
std::uint64_t measure_all(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts,
                          Bench& bench, std::optional<JsonFile>& json) {
  check_algorithm(bench, options, counts.front());
  const bool prints = world.rank() == 0;
  const std::string engine = options.on_device() ? bench.explain(counts.front()).engine : world.engine();
  PerfEnvironment environment = describe_world(world, engine, bench.bound());
  const bool on_one_host = world.size() > 1 && world.local_size() == world.size();
  if (!options.on_device() && on_one_host && more_ranks_than_processors(world))
    environment.yield_ring = measure_yield_ring(world.communicator());
  if (prints) show(perf_heading(options, environment));

  std::vector<PerfRow> rows;
  std::uint64_t wrong = 0;
  if (json) json->write(perf_json(options, environment, rows));
  for (const std::size_t count : counts) {
    const std::string why = options.explain ? bench.explain(count).text : std::string();
    if (prints && !why.empty()) show("# " + why + "\n");
    rows.push_back(bench.measure(count));
    wrong += rows.back().wrong;
    if (prints) show(perf_line(options, rows.back()) + "\n");
    if (json) json->write(perf_json(options, environment, rows));
  }
  if (json) json->finish();
  return wrong;
}

/// As one of the ranks of a world. Returns how many elements were wrong, on rank 0.
std::uint64_t measure(const PerfOptions& options, const platform::Environment& environment,
                      std::optional<JsonFile>& json) {
  World world = open_world(options, environment);
  if (options.root >= world.size()) {
    fail(ErrorCode::invalid_argument, "--root is " + std::to_string(options.root) + ": the last of " +
                                          std::to_string(world.size()) + " ranks is " +
                                          std::to_string(world.size() - 1));
  }
  const auto counts = perf_counts(options, world.size());
  std::uint64_t wrong = 0;
  if (options.on_device()) {
    DeviceBench bench(world, options, counts);
    wrong = measure_all(world, options, counts, bench, json);
  } else {
    require_memory(world, Bytes{perf_memory(options, counts, world.size()).all()});
    PerfBench bench(world, options, counts);
    wrong = measure_all(world, options, counts, bench, json);
  }
  const bool prints = world.rank() == 0;
  world.communicator().barrier({.label = "end"});  // rank 0, which may serve the others, leaves last
  world.close();
  return prints ? wrong : 0;
}

}  // namespace

int perf(const Invocation& invocation) {
  // No collective: it has flags of its own.
  const auto& words = invocation.arguments;
  if (std::find(words.begin(), words.end(), "push_pull") != words.end()) return push_pull(invocation);
  const auto options = parse_perf_options(invocation.arguments);
  if (!options) return 0;
  if (options->compare) return compare(*options, invocation.environment);
  prepare_device(options->device);
  require_nccl(*options, invocation.environment);
  require_device(options->device, options->device_given, invocation.environment, "trireme perf measures host memory");
  const bool writes = invocation.environment.find("RANK").value_or("0") == "0";
  std::optional<JsonFile> json;
  if (options->json && writes) json.emplace(*options->json);
  const std::uint64_t wrong = measure(*options, invocation.environment, json);
  if (wrong != 0)
    std::fprintf(stderr, "trireme perf: %llu elements were wrong\n", static_cast<unsigned long long>(wrong));
  return wrong != 0;
}

}  // namespace trireme::cli
