// SPDX-License-Identifier: Apache-2.0
#include "bench/overlap/options.hpp"

#include "trireme/base/error.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

namespace trireme::bench {

std::optional<OverlapOptions> parse_overlap_options(int argc, char** argv) {
  OverlapOptions options;
  constexpr std::size_t most_bytes = std::size_t{1} << 30;
  CLI::App app("How much of an asynchronous all_reduce goes on while the ranks compute: timed, and counted.",
               "overlap_bench");
  app.footer("Several ranks: trireme run -n 2 -- overlap_bench --cores own\n");
  app.add_option("--min-bytes", options.min_bytes, "smallest vector (default 65536)")
      ->check(CLI::Range(std::size_t{4}, most_bytes));
  app.add_option("--max-bytes", options.max_bytes, "largest (default 16777216)")
      ->check(CLI::Range(std::size_t{4}, most_bytes));
  app.add_option("--factor", options.factor, "from one size to the next (default 4)")->check(CLI::Range(2, 1024));
  app.add_option("--rounds", options.rounds, "rounds per size (default 21)")->check(CLI::Range(3, 300));
  app.add_option("--slices", options.slices, "parts of the computation, progress() between them (default 64)")
      ->check(CLI::Range(1, 100000));
  app.add_option("--ratio", options.ratio, "computation over communication (default 1.5)")
      ->check(CLI::Range(0.1, 100.0));
  app.add_option("--cores", options.cores,
                 "free (default): unbound; own: rank r on core r with all its threads; spare: what computes on core 0, "
                 "all other threads on core 1")
      ->check(CLI::IsMember({"free", "own", "spare"}));
  app.add_option("--progress-thread", options.progress, "auto (default: the library's choice), on or off")
      ->check(CLI::IsMember({"auto", "on", "off"}));
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
