// SPDX-License-Identifier: Apache-2.0
#include "bench/zero/options.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

namespace trireme::bench {

std::optional<ZeroOptions> parse_zero_options(int argc, char** argv) {
  ZeroOptions options;
  CLI::App app("What do the stages of ZeRO keep on a rank, and send? Ranks are threads; bytes are counted.",
               "zero_bench");
  app.add_option("--layers", options.layers, "of the model (default 40)")->check(CLI::Range(1, 1000));
  app.add_option("--channels", options.channels, "of a layer, which has 4 channels^2 weights (default 320)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--vocabulary", options.vocabulary, "rows of the table in front (default 1000)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--ranks", options.ranks, "numbers of ranks (default 1 2 4 8)")->check(CLI::Range(1, 64));
  app.add_option("--json", options.json, "file for the rows");
  app.add_flag("--check", options.check,
               "exit code 3 when memory is more than 0.5 % from the formula, or wire bytes more than 1 %");
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
