// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/table.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace trireme::cli {
namespace {

constexpr const char* heading_format = "#%11s %12s %6s %8s %5s %18s %11s %11s %11s %8s %8s %6s %11s\n";
constexpr const char* line_format = "%12zu %12zu %6s %8s %5s %18s %11.2f %11.2f %11.2f %8.3f %8.3f %6llu %11s";

std::string text_of(std::string_view view) { return std::string(view); }

/// As nccl-tests has it: what combines nothing has "none", what has no root has -1.
std::string op_of(const PerfOptions& options) {
  return options.operation->reduces ? text_of(name_of(options.op.kind)) : "none";
}
/// Whose memory.
std::string memory_of(const PerfOptions& options) {
  return options.on_device() ? "device" : options.arena ? "arena" : "foreign";
}
int root_of(const PerfOptions& options) { return options.operation->rooted ? options.root : -1; }

std::string bound_of(const PerfRow& row) {
  if (!row.bound_us) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", *row.bound_us);
  return text;
}

}  // namespace

std::string perf_heading(const PerfOptions& options, const PerfEnvironment& environment) {
  std::string text = "# trireme perf " + text_of(options.operation->name) + ": " + std::to_string(environment.ranks) +
                     (environment.ranks == 1 ? " rank" : " ranks") + ", " + std::to_string(environment.ranks_on_host) +
                     " on " + environment.host + " (" + std::to_string(environment.processors) +
                     " processors), engine " + environment.engine + ", transport " + environment.transport +
                     ", memory " + memory_of(options) + ", order " + text_of(name_of(options.order)) + "\n";
  if (options.on_device()) {
    text += "# device: " + environment.device + " of rank 0; by way of the host: engine " + environment.host_engine +
            "; " + (options.in_place() ? "in place" : "out of place") + "\n";
  }
  text += options.cold ? "# cold: inputs rewritten before every call, in buffers used in turn\n"
                       : "# warm: one buffer, not rewritten between calls\n";
  text += "# time: of the slowest rank; time_us is the median, from which algbw and busbw (GB/s) follow\n";
  if (options.on_device()) {
    text +=
        "# calls are given to one stream in batches, up to 8 with buffers of their own: a time is the mean of a batch\n";
  }
  text += "# bound: " + text_of(describe(environment.bound)) + "\n";
  if (environment.yield_ring) {
    char words[160];
    std::snprintf(words, sizeof words,
                  "# more ranks than processors: a word passed round all with sched_yield takes %.2f us, p99 %.2f us\n",
                  environment.yield_ring->p50_us, environment.yield_ring->p99_us);
    text += words;
  }
  if (environment.ranks == 1)
    text += "# one rank: nothing is exchanged; start several with `trireme run -n 2 -- trireme perf …`\n";
  char columns[256];
  std::snprintf(columns, sizeof columns, heading_format, "bytes", "count", "dtype", "op", "root", "algorithm",
                "time_us", "p50_us", "p99_us", "algbw", "busbw", "wrong", "bound_us");
  return text + columns;
}

std::string perf_line(const PerfOptions& options, const PerfRow& row) {
  char line[256];
  std::snprintf(line, sizeof line, line_format, row.bytes, row.count, text_of(name_of(options.dtype)).c_str(),
                op_of(options).c_str(), std::to_string(root_of(options)).c_str(),
                row.algorithm.empty() ? "-" : row.algorithm.c_str(), row.time_us, row.time_us, row.p99_us, row.algbw,
                row.busbw, static_cast<unsigned long long>(row.wrong), bound_of(row).c_str());
  return line;
}

std::string perf_json(const PerfOptions& options, const PerfEnvironment& environment,
                      const std::vector<PerfRow>& rows) {
  nlohmann::ordered_json root;
  root["environment"] = {{"version", environment.version},
                         {"host", environment.host},
                         {"processors", environment.processors},
                         {"ranks", environment.ranks},
                         {"ranks_on_host", environment.ranks_on_host},
                         {"order", text_of(name_of(options.order))},
                         {"cache", options.cold ? "cold" : "warm"},
                         {"warmup", options.warmup},
                         {"bound", text_of(describe(environment.bound))}};
  if (options.on_device()) {
    root["environment"]["device"] = environment.device;
    root["environment"]["host_engine"] = environment.host_engine;
    root["environment"]["in_place"] = options.in_place();
  }
  if (environment.yield_ring) {
    root["environment"]["yield_ring"] = {{"rounds", YieldRing::rounds},
                                         {"p50_us", environment.yield_ring->p50_us},
                                         {"p99_us", environment.yield_ring->p99_us}};
  }
  root["rows"] = nlohmann::ordered_json::array();
  for (const PerfRow& row : rows) {
    nlohmann::ordered_json entry{{"operation", text_of(options.operation->name)},
                                 {"bytes", row.bytes},
                                 {"count", row.count},
                                 {"dtype", text_of(name_of(options.dtype))},
                                 {"op", op_of(options)},
                                 {"root", root_of(options)},
                                 {"algorithm", nullptr},
                                 {"engine", environment.engine},
                                 {"transport", environment.transport},
                                 {"memory", memory_of(options)},
                                 {"ranks", environment.ranks},
                                 {"time_us", row.time_us},
                                 {"p50_us", row.time_us},
                                 {"p99_us", row.p99_us},
                                 {"algbw_GBps", row.algbw},
                                 {"busbw_GBps", row.busbw},
                                 {"wrong", row.wrong},
                                 {"bound_us", nullptr},
                                 {"iterations", row.iterations}};
    if (!row.algorithm.empty()) entry["algorithm"] = row.algorithm;
    if (row.batch != 0) entry["batch"] = row.batch;
    if (row.bound_us) entry["bound_us"] = *row.bound_us;
    root["rows"].push_back(std::move(entry));
  }
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace trireme::cli
