// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/comparison.hpp"

#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <sstream>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(std::string_view view) { return std::string(view); }

Timing middle(const std::vector<Run>& rounds, std::size_t size) {
  Timing timing = rounds.front()[size];
  std::vector<double> times, p99s, bounds;
  for (const Run& run : rounds) {
    times.push_back(run[size].time_us);
    p99s.push_back(run[size].p99_us);
    bounds.push_back(run[size].bound_us);
  }
  timing.time_us = percentile(times, 0.5);
  timing.p99_us = percentile(p99s, 0.5);
  timing.bound_us = percentile(bounds, 0.5);
  return timing;
}

void check_sizes_of(const std::vector<Run>& rounds, const Run& like) {
  for (const Run& run : rounds) {
    bool same = run.size() == like.size();
    for (std::size_t at = 0; same && at < run.size(); ++at) same = run[at].bytes == like[at].bytes;
    if (!same) fail(ErrorCode::mismatch, "--compare: two runs have measured different sizes");
  }
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Json row_of(const PerfOptions& options, const Timing& timing, const std::string& engine, const std::string& algorithm,
            const std::string& transport) {
  const int ranks = options.compare->ranks;
  const double algbw = algorithm_bandwidth(Bytes{timing.bytes}, timing.time_us / 1e6);
  Json row{{"operation", text_of(options.operation->name)},
           {"bytes", timing.bytes},
           {"count", timing.count},
           {"dtype", text_of(name_of(options.dtype))},
           {"op", text_of(name_of(options.op.kind))},
           {"root", -1},
           {"algorithm", algorithm},
           {"engine", engine},
           {"transport", transport},
           {"memory", engine == "host" && options.arena ? "arena" : "foreign"},
           {"ranks", ranks},
           {"time_us", timing.time_us},
           {"p50_us", timing.time_us},
           {"p99_us", timing.p99_us},
           {"algbw_GBps", algbw},
           {"busbw_GBps", algbw * options.operation->bus_factor(ranks)},
           {"wrong", timing.wrong},
           {"bound_us", nullptr}};
  if (timing.bound_us >= 0) row["bound_us"] = timing.bound_us;
  return row;
}

std::string placed_line(const Placed& placed) {
  return "# " + std::to_string(placed.runs) + " runs, of " + std::to_string(placed.elsewhere) +
         " the processors were not near each other before and after; " + std::to_string(placed.repeated) +
         " others were repeated for that reason\n";
}

}  // namespace

Run parse_peer_lines(const std::string& text) {
  Run run;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    Timing timing;
    unsigned long long wrong = 0;
    const std::size_t at = line.find("peer bytes=");  // a launcher may put a prefix before it
    if (at == std::string::npos) continue;
    if (std::sscanf(line.c_str() + at, "peer bytes=%zu count=%zu time_us=%lf p99_us=%lf wrong=%llu", &timing.bytes,
                    &timing.count, &timing.time_us, &timing.p99_us, &wrong) != 5)
      continue;
    timing.wrong = wrong;
    run.push_back(timing);
  }
  return run;
}

Run parse_perf_rows(const std::string& json) {
  try {
    Run run;
    const Json root = Json::parse(json);
    for (const auto& row : root.at("rows")) {
      run.push_back({.bytes = row.at("bytes"),
                     .count = row.at("count"),
                     .time_us = row.at("time_us"),
                     .p99_us = row.at("p99_us"),
                     .bound_us = row.at("bound_us").is_null() ? -1.0 : row.at("bound_us").get<double>(),
                     .algorithm = row.at("algorithm").is_null() ? "" : row.at("algorithm").get<std::string>(),
                     .transport = row.at("transport"),
                     .wrong = row.at("wrong")});
    }
    return run;
  } catch (const nlohmann::json::exception& problem) {
    fail(ErrorCode::corrupt, std::string("the rows of a run cannot be read: ") + problem.what());
  }
}

std::vector<ComparedSize> compare_sizes(const Comparison& comparison) {
  std::vector<ComparedSize> sizes;
  if (comparison.ours.empty()) return sizes;
  const Run& like = comparison.ours.front();
  check_sizes_of(comparison.ours, like);
  for (const auto& rounds : comparison.theirs) check_sizes_of(rounds, like);
  for (std::size_t at = 0; at < like.size(); ++at) {
    ComparedSize size{.ours = middle(comparison.ours, at)};
    for (std::size_t setting = 0; setting < comparison.theirs.size(); ++setting) {
      const Timing timing = middle(comparison.theirs[setting], at);
      if (setting != 0 && timing.time_us >= size.theirs.time_us) continue;
      size.theirs = timing;
      size.setting = setting;
    }
    std::vector<double> ratios;
    for (std::size_t round = 0; round < comparison.ours.size(); ++round) {
      size.ours_us.push_back(comparison.ours[round][at].time_us);
      size.theirs_us.push_back(comparison.theirs[size.setting][round][at].time_us);
      ratios.push_back(size.ours_us.back() > 0 ? size.theirs_us.back() / size.ours_us.back() : 0.0);
    }
    size.ratio = median_interval(ratios);
    sizes.push_back(std::move(size));
  }
  return sizes;
}

std::string comparison_heading(const PerfOptions& options, const Peer& peer, const std::string& host) {
  const CompareOptions& how = *options.compare;
  std::string text = "# trireme perf " + text_of(options.operation->name) + " next to " + peer.product + ": " +
                     std::to_string(how.ranks) + (how.ranks == 1 ? " rank" : " ranks") + " on " + host + ", " +
                     std::to_string(how.rounds) + (how.rounds == 1 ? " round" : " rounds") + ", " +
                     (options.cold ? "cold" : "warm") + ", our memory " + (options.arena ? "arena" : "foreign") +
                     ", theirs ordinary\n";
  text += "# a round starts every program once, one after the other; the first of them is another in each round\n";
  for (const PeerSetting& setting : peer.settings) {
    text += "# " + peer.product + ", " + setting.name + ": " +
            (peer.launchers.empty() ? "trireme" : peer.launchers.front()) + " " + joined(peer.arguments) +
            (setting.launcher_arguments.empty() ? "" : " " + joined(setting.launcher_arguments)) + " " + peer.program +
            (setting.program_arguments.empty() ? "" : " " + joined(setting.program_arguments)) + "\n";
  }
  text +=
      "# each size is held against the setting that is fastest there; ratio: their time over ours, round by round\n";
  return text;
}

std::string comparison_table(const Peer& peer, const std::vector<ComparedSize>& sizes, const Placed& placed) {
  char line[256];
  std::snprintf(line, sizeof line, "#%11s %12s %18s %11s %11s %17s %8s %8s %8s %11s\n", "bytes", "count", "algorithm",
                "ours_us", "theirs_us", "setting", "ratio", "low", "high", "bound_us");
  std::string text;
  if (!sizes.empty()) {
    char words[96];
    std::snprintf(words, sizeof words, "# low and high hold the median ratio with a probability of %.3g %%\n",
                  100 * sizes.front().ratio.confidence);
    text += words;
    text += placed_line(placed);
  }
  text += line;
  for (const ComparedSize& size : sizes) {
    char bound[32] = "-";
    if (size.ours.bound_us >= 0) std::snprintf(bound, sizeof bound, "%.2f", size.ours.bound_us);
    std::snprintf(line, sizeof line, "%12zu %12zu %18s %11.2f %11.2f %17s %8.2f %8.2f %8.2f %11s\n", size.ours.bytes,
                  size.ours.count, size.ours.algorithm.empty() ? "-" : size.ours.algorithm.c_str(), size.ours.time_us,
                  size.theirs.time_us, peer.settings[size.setting].name.c_str(), size.ratio.median, size.ratio.low,
                  size.ratio.high, bound);
    text += line;
  }
  return text;
}

std::string comparison_json(const PerfOptions& options, const Peer& peer, const std::string& host,
                            const std::vector<ComparedSize>& sizes, const Placed& placed) {
  Json root;
  root["environment"] = {{"version", TRIREME_VERSION},      {"host", host},
                         {"ranks", options.compare->ranks}, {"cache", options.cold ? "cold" : "warm"},
                         {"warmup", options.warmup},        {"peer", peer.product}};
  root["environment"]["placement"] = {{"wanted", options.compare->near ? "near" : "any"},
                                      {"runs", placed.runs},
                                      {"elsewhere", placed.elsewhere},
                                      {"repeated", placed.repeated}};
  root["rows"] = Json::array();
  root["compare"] = Json::array();
  for (const ComparedSize& size : sizes)
    root["rows"].push_back(row_of(options, size.ours, "host", size.ours.algorithm, size.ours.transport));
  for (const ComparedSize& size : sizes) {
    const std::string& setting = peer.settings[size.setting].name;
    root["rows"].push_back(row_of(options, size.theirs, peer.name, setting, size.ours.transport));
    root["compare"].push_back({{"bytes", size.ours.bytes},
                               {"ours_us", size.ours.time_us},
                               {"theirs_us", size.theirs.time_us},
                               {"setting", setting},
                               {"ratio", size.ratio.median},
                               {"ratio_low", size.ratio.low},
                               {"ratio_high", size.ratio.high},
                               {"confidence", size.ratio.confidence},
                               {"ours_rounds_us", size.ours_us},
                               {"theirs_rounds_us", size.theirs_us}});
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace trireme::cli
