// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/machine.hpp"
#include "cli/perf/compare.hpp"
#include "cli/perf/json_file.hpp"
#include "cli/perf/measure.hpp"
#include "cli/perf/memory.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <cstdio>
#include <optional>
#include <span>

namespace trireme::cli {
namespace {

PerfEnvironment describe_world(const World& world, BoundKind bound) {
  PerfEnvironment environment{.version = TRIREME_VERSION,
                              .host = world.host(world.rank()),
                              .processors = describe_machine().processors,
                              .ranks = world.size(),
                              .ranks_on_host = world.local_size(),
                              .transport = "self",
                              .engine = world.engine(),
                              .bound = bound};
  for (int peer = 0; peer < world.size(); ++peer) {
    const std::string transport = world.transport(peer);
    if (transport == "self") continue;
    const bool first = environment.transport == "self";
    environment.transport = first || environment.transport == transport ? transport : "mixed";
  }
  return environment;
}

/// As rank 0 sees it, for all of them.
bool more_ranks_than_processors(const World& world) {
  std::array<std::int32_t, 1> crowded{world.size() > describe_machine().processors ? 1 : 0};
  world.communicator().broadcast(std::span<std::int32_t>(crowded), 0, {.label = "processors"});
  return crowded[0] != 0;
}

void check_algorithm(const PerfBench& bench, const PerfOptions& options, std::size_t count) {
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

/// As one of the ranks of a world. Returns how many elements were wrong.
std::uint64_t measure(const PerfOptions& options, std::optional<JsonFile>& json) {
  World world = World::open({.transport = options.transport,
                             .engine = options.engine,
                             .algorithm = options.algorithm,
                             .arena_reserve = perf_arena_reserve(options.max_bytes)});
  if (options.root >= world.size()) {
    fail(ErrorCode::invalid_argument, "--root is " + std::to_string(options.root) + ": the last of " +
                                          std::to_string(world.size()) + " ranks is " +
                                          std::to_string(world.size() - 1));
  }
  const auto counts = perf_counts(options, world.size());
  require_memory(world, Bytes{perf_memory(options, counts, world.size()).all()});
  PerfBench bench(world, options, counts);
  check_algorithm(bench, options, counts.front());
  const bool prints = world.rank() == 0;
  PerfEnvironment environment = describe_world(world, bench.bound());
  if (world.local_size() == world.size() && more_ranks_than_processors(world))
    environment.yield_ring = measure_yield_ring(world.communicator());
  if (prints) show(perf_heading(options, environment));

  std::vector<PerfRow> rows;
  std::uint64_t wrong = 0;
  if (json) json->write(perf_json(options, environment, rows));
  for (const std::size_t count : counts) {
    if (prints && options.explain) show("# " + bench.explain(count).text + "\n");
    rows.push_back(bench.measure(count));
    wrong += rows.back().wrong;
    if (prints) show(perf_line(options, rows.back()) + "\n");
    if (json) json->write(perf_json(options, environment, rows));
  }
  if (json) json->finish();
  world.communicator().barrier({.label = "end"});  // rank 0, which may serve the others, leaves last
  world.close();
  return prints ? wrong : 0;
}

}  // namespace

int perf(const Invocation& invocation) {
  const auto options = parse_perf_options(invocation.arguments);
  if (!options) return 0;
  if (options->compare) return compare(*options, invocation.environment);
  const bool writes = invocation.environment.find("RANK").value_or("0") == "0";
  std::optional<JsonFile> json;
  if (options->json && writes) json.emplace(*options->json);
  const std::uint64_t wrong = measure(*options, json);
  if (wrong != 0)
    std::fprintf(stderr, "trireme perf: %llu elements were wrong\n", static_cast<unsigned long long>(wrong));
  return wrong != 0;
}

}  // namespace trireme::cli
