// SPDX-License-Identifier: Apache-2.0
#include "bench/stragglers/options.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

namespace trireme::bench {
namespace {

Way way_named(const std::string& name) {
  const bool aware = name == "async-aware";
  return {.name = name, .consistency = ps::Consistency::parse(aware ? "async" : name), .staleness_aware = aware};
}

}  // namespace

std::optional<StragglersOptions> parse_stragglers_options(int argc, char** argv) {
  StragglersOptions options;
  std::vector<std::string> ways{"bsp", "ssp:3", "async"}, stragglers{"none", "one:0.1", "each:0.1", "worker:0"};
  std::string servers = "mem";
  double computation_ms = 20;
  CLI::App app(
      "What do slow workers cost, bulk-synchronous, stale-synchronous and asynchronous? Workers are threads that train an MLP on "
      "Fashion-MNIST; most of a step is slept, five times as long where a worker is slow.",
      "stragglers_bench");
  app.add_option("--ways", ways, "bsp, ssp:S, async, async-aware (default bsp ssp:3 async)");
  app.add_option(
      "--stragglers", stragglers,
      "none; one:P, in a share P of the steps one worker, drawn anew; each:P, each worker in a share P of its own; "
      "worker:W, one in all (default none one:0.1 each:0.1 worker:0)");
  app.add_option("--workers", options.workers, "default 8")->check(CLI::Range(1, 1024));
  app.add_option("--servers", options.servers, "default 2")->check(CLI::Range(1, 64));
  app.add_option("--transport", servers, "mem (default): servers in the workers' threads; tcp: behind sockets")
      ->check(CLI::IsMember({"mem", "tcp"}));
  app.add_option("--computation-ms", computation_ms, "slept in a step that is not slow (default 20)")
      ->check(CLI::Range(0.0, 10000.0));
  app.add_option("--seconds", options.seconds, "of each run (default 20; 0: until --samples)")
      ->check(CLI::Range(0.0, 3600.0));
  app.add_option("--samples", options.samples, "of all workers, by which the values are looked at, too");
  app.add_option("--batch", options.batch, "samples of a worker's step (default 32)")->check(CLI::Range(1, 4096));
  app.add_option("--hidden", options.hidden, "units of the hidden layers (default 128)");
  app.add_option("--learning-rate", options.learning_rate,
                 "of the batches of all workers together (default 0.1); an update of one worker's has its share of it");
  app.add_flag("--lr-decay", options.decays, "with --samples: it falls evenly to a tenth by the last one");
  app.add_option("--momentum", options.momentum, "default 0");
  app.add_option("--seed", options.seed, "of stragglers, samples and values (default 1)");
  app.add_option("--data-dir", options.data_dir, "folder of the data set");
  app.add_option("--least-accuracy", options.least_accuracy, "exit code 3 where the end of a run is below it");
  app.add_option("--json", options.json, "file for the rows");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::invalid_argument, error.what());
  }
  if (options.seconds == 0 && options.samples == 0)
    fail(ErrorCode::invalid_argument, "--seconds 0 needs --samples: nothing else ends a run");
  if (options.decays && options.samples == 0) fail(ErrorCode::invalid_argument, "--lr-decay needs --samples");
  options.tcp = servers == "tcp";
  for (const std::string& each : ways) options.ways.push_back(way_named(each));
  const testing::StragglingOptions usual{
      .computation = std::chrono::microseconds(static_cast<std::int64_t>(computation_ms * 1000)), .seed = options.seed};
  for (const std::string& each : stragglers) options.stragglers.push_back(testing::parse_stragglers(each, usual));
  return options;
}

}  // namespace trireme::bench
