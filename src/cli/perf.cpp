// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/machine.hpp"
#include "cli/perf/measure.hpp"
#include "cli/perf/memory.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace trireme::cli {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// Opened before anything is measured: a wrong path is better known now.
File open_json(const std::string& path) {
  File file(std::fopen(path.c_str(), "we"));
  if (!file) fail(ErrorCode::invalid_argument, "--json: cannot write '" + path + "': " + std::strerror(errno));
  return file;
}

PerfEnvironment describe_world(const World& world, BoundKind bound) {
  PerfEnvironment environment{.version = TRIREME_VERSION,
                              .host = world.host(world.rank()),
                              .processors = describe_machine().processors,
                              .ranks = world.size(),
                              .ranks_on_host = world.local_size(),
                              .transport = "self",
                              .bound = bound};
  for (int peer = 0; peer < world.size(); ++peer) {
    const std::string transport = world.transport(peer);
    if (transport == "self") continue;
    const bool first = environment.transport == "self";
    environment.transport = first || environment.transport == transport ? transport : "mixed";
  }
  return environment;
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

}  // namespace

int perf(const Invocation& invocation) {
  const auto options = parse_perf_options(invocation.arguments);
  if (!options) return 0;
  const auto counts = perf_counts(*options);
  const bool writes = invocation.environment.find("RANK").value_or("0") == "0";
  File json = options->json && writes ? open_json(*options->json) : File();

  const Bytes largest{counts.back() * size_of(options->dtype)};
  World world = World::open(
      {.transport = options->transport, .algorithm = options->algorithm, .arena_reserve = perf_arena_reserve(largest)});
  require_memory(world, largest);
  PerfBench bench(world, *options, counts.back());
  check_algorithm(bench, *options, counts.front());
  const bool prints = world.rank() == 0;
  const PerfEnvironment environment = describe_world(world, bench.bound());
  if (prints) show(perf_heading(*options, environment));

  std::vector<PerfRow> rows;
  std::uint64_t wrong = 0;
  for (const std::size_t count : counts) {
    if (prints && options->explain) show("# " + bench.explain(count).text + "\n");
    rows.push_back(bench.measure(count));
    wrong += rows.back().wrong;
    if (prints) show(perf_line(*options, rows.back()) + "\n");
  }
  if (json) {
    const std::string text = perf_json(*options, environment, rows);
    const bool written =
        std::fwrite(text.data(), 1, text.size(), json.get()) == text.size() && std::fflush(json.get()) == 0;
    if (!written) fail_system("--json: writing '" + *options->json + "'", errno);
  }
  world.communicator().barrier({.label = "end"});  // rank 0, which may serve the others, leaves last
  world.close();
  if (wrong != 0) {
    if (prints)
      std::fprintf(stderr, "trireme perf: %llu elements were wrong\n", static_cast<unsigned long long>(wrong));
    return 1;
  }
  return 0;
}

}  // namespace trireme::cli
