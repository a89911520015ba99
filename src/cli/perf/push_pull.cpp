// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/push_pull.hpp"

#include "cli/doctor/machine.hpp"
#include "cli/perf/json_file.hpp"
#include "cli/perf/push_pull_bench.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>
#include <string>

namespace trireme::cli {
namespace {

using PushPullJson = nlohmann::ordered_json;

void say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

std::string transport_of(const PushPullOptions& options) { return options.tcp ? "tcp" : "local"; }

/// "", or ", 1 rank only serves; keys by the optimal split".
std::string split_of(const PushPullOptions& options) {
  if (!options.split) return "";
  const std::string spare = options.spare == 0   ? ""
                            : options.spare == 1 ? ", 1 rank only serves"
                                                 : ", " + std::to_string(options.spare) + " ranks only serve";
  switch (*options.split) {
    case PushPullSplit::optimal: return spare + "; keys by the optimal split";
    case PushPullSplit::workers: return spare + "; keys beside workers";
    case PushPullSplit::spare: break;
  }
  return spare + "; keys on those";
}

std::string heading(const PushPullOptions& options, const World& world, int servers) {
  const int workers = world.size() - options.spare;
  char columns[160];
  std::snprintf(columns, sizeof columns, "#%11s %12s %6s %12s %8s %11s %11s %6s %8s\n", "bytes", "way", "keys",
                "keys/s", "GB/s", "p50_us", "p99_us", "wrong", "of_raw");
  return "# trireme perf push_pull: " + std::to_string(workers) + (workers == 1 ? " worker, " : " workers, ") +
         std::to_string(servers) + (servers == 1 ? " server with " : " servers with ") + std::to_string(options.loops) +
         (options.loops == 1 ? " event loop" : " event loops") + split_of(options) + ", transport " +
         transport_of(options) + (options.tls ? " under TLS" : "") + "\n" +
         "# times: of an iteration, all keys pushed and their means back, of the slowest rank; keys/s and GB/s, each way, from "
         "the median, of a worker\n"
         "# raw TCP: the same bytes over plain sockets on loopback, in turn with ours\n" +
         columns;
}

std::string line(const PushPullOptions& options, const PushPullRow& row, const char* way, double of_raw) {
  char text[200];
  char ratio[16] = "-";
  if (of_raw > 0) std::snprintf(ratio, sizeof ratio, "%.2f", of_raw);
  std::snprintf(text, sizeof text, "%12zu %12s %6u %12.1f %8.3f %11.2f %11.2f %6llu %8s\n", row.bytes, way,
                options.keys, row.keys_per_s, row.gbps, row.p50_us, row.p99_us,
                static_cast<unsigned long long>(row.wrong), ratio);
  return text;
}

PushPullJson json_row(const PushPullOptions& options, const World& world, const PushPullRow& row, bool raw,
                      double raw_us) {
  PushPullJson entry{{"operation", "push_pull"}, {"bytes", row.bytes},
                     {"count", row.bytes / 4},   {"dtype", "f32"},
                     {"op", "average"},          {"algorithm", raw ? "raw TCP" : "parameter server"},
                     {"engine", "host"},         {"transport", raw ? "tcp" : transport_of(options)},
                     {"memory", "foreign"},      {"ranks", raw ? 1 : world.size()},
                     {"time_us", row.p50_us},    {"p50_us", row.p50_us},
                     {"p99_us", row.p99_us},     {"algbw_GBps", row.gbps},
                     {"busbw_GBps", row.gbps},   {"wrong", row.wrong},
                     {"bound_us", nullptr},      {"iterations", row.iterations},
                     {"keys", options.keys},     {"keys_per_s", row.keys_per_s}};
  if (!raw) entry["bound_us"] = raw_us;
  return entry;
}

std::uint64_t measure_all(World& world, const PushPullOptions& options, std::optional<JsonFile>& json) {
  const bool prints = world.rank() == 0;
  if (options.spare >= world.size())
    fail(ErrorCode::invalid_argument, "--spare is " + std::to_string(options.spare) + ": of the " +
                                          std::to_string(world.size()) + " ranks at least one must be a worker");
  if (const int servers = options.servers.value_or(world.size()); servers > world.size())
    fail(ErrorCode::invalid_argument, "--servers is " + std::to_string(servers) +
                                          ": they live on ranks, of which there " +
                                          (world.size() == 1 ? "is 1" : "are " + std::to_string(world.size())));
  const int servers = static_cast<int>(serving_ranks(options, world.size()).ranks.size());
  PushPullJson root;
  root["environment"] = {{"version", TRIREME_VERSION},
                         {"host", world.host(world.rank())},
                         {"processors", describe_machine().processors},
                         {"ranks", world.size()},
                         {"ranks_on_host", world.local_size()},
                         {"servers", servers},
                         {"spare", options.spare},
                         {"loops", options.loops},
                         {"tls", options.tls},
                         {"warmup", options.warmup}};
  root["rows"] = PushPullJson::array();
  std::uint64_t wrong = 0;
  if (prints) say(heading(options, world, servers));
  for (const std::size_t bytes : options.sizes()) {
    PushPullBench bench(world, options, bytes);
    const auto [ours, raw] = bench.measure();
    wrong += ours.wrong;
    const double of_raw = ours.p50_us > 0 ? raw.p50_us / ours.p50_us : 0.0;
    if (prints) say(line(options, ours, "push_pull", of_raw) + line(options, raw, "raw TCP", 0.0));
    if (!json) continue;
    root["rows"].push_back(json_row(options, world, ours, false, raw.p50_us));
    root["rows"].push_back(json_row(options, world, raw, true, 0.0));
    json->write(root.dump(2, ' ', false, PushPullJson::error_handler_t::replace) + "\n");
  }
  if (json) json->finish();
  return wrong;
}

}  // namespace

int push_pull(const Invocation& invocation) {
  auto options = parse_push_pull_options(invocation.arguments);
  if (!options) return 0;
  if (!options->tcp && invocation.environment.find("TRIREME_TRANSPORT") == "tcp")
    fail(ErrorCode::invalid_argument, "--transport local: TRIREME_TRANSPORT=tcp asks for TCP, on one host too");
  options->congestion = invocation.environment.find("TRIREME_TCP_CONGESTION").value_or("");
  options->tls = invocation.environment.find("TRIREME_TLS") == "1";
  std::optional<JsonFile> json;
  if (options->json && invocation.environment.find("RANK").value_or("0") == "0") json.emplace(*options->json);
  World world = World::open({});
  const std::uint64_t wrong = measure_all(world, *options, json);
  const bool tells = world.rank() == 0 && wrong != 0;
  world.communicator().barrier({.label = "end"});  // rank 0, which may serve the others, leaves last
  world.close();
  if (tells) std::fprintf(stderr, "trireme perf: %llu elements were wrong\n", static_cast<unsigned long long>(wrong));
  return tells ? 1 : 0;
}

}  // namespace trireme::cli
