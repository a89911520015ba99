// SPDX-License-Identifier: Apache-2.0
#include "bench/pipeline/options.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

namespace trireme::bench {

std::optional<PipelineOptions> parse_pipeline_options(int argc, char** argv) {
  PipelineOptions options;
  CLI::App app("How near do real pipelines come to the simulated ones? Stages sleep instead of computing.",
               "pipeline_bench");
  app.footer("Four ranks: trireme run -n 4 -- pipeline_bench --json pipeline.json\n");
  app.add_option("--unit-ms", options.unit_ms, "forward of a micro-batch on a rank, in ms (default 24)")
      ->check(CLI::Range(0.1, 10000.0));
  app.add_option("--micro-batches", options.micro_batches, "numbers of micro-batches (default 4 8 16 32)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--rounds", options.rounds, "timed runs of each (default 3)")->check(CLI::Range(1, 100));
  app.add_option("--message-bytes", options.message_bytes, "what passes between stages (default 65536)")
      ->check(CLI::Range(std::size_t{4}, std::size_t{1} << 30));
  app.add_option("--threads", options.threads, "ranks as so many threads of this process")->check(CLI::Range(1, 64));
  app.add_option("--json", options.json, "file for the rows");
  app.add_flag("--check", options.check, "exit code 3 when a median is more than 5 % from the simulation");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::invalid_argument, error.what());
  }
  return options;
}

}  // namespace trireme::bench
