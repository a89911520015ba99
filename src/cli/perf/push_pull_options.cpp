// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/push_pull_options.hpp"

#include "cli/arguments.hpp"
#include "cli/byte_size.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::cli {

std::vector<std::size_t> PushPullOptions::sizes() const {
  std::vector<std::size_t> sizes;
  for (std::uint64_t bytes = std::max<std::uint64_t>(min_bytes.value, 1); bytes <= max_bytes.value || sizes.empty();
       bytes *= factor) {
    const auto size = static_cast<std::size_t>(std::max<std::uint64_t>(bytes / 4, 1) * 4);
    if (sizes.empty() || sizes.back() != size) sizes.push_back(size);
  }
  return sizes;
}

std::uint64_t PushPullOptions::iterations_for(std::size_t bytes) const {
  if (iterations) return *iterations;
  constexpr std::uint64_t volume = std::uint64_t{1} << 30;
  return std::clamp<std::uint64_t>(volume / std::max<std::uint64_t>(std::uint64_t{bytes} * keys, 1), 8, 200);
}

std::optional<PushPullOptions> parse_push_pull_options(const std::vector<std::string>& arguments) {
  std::string operation, min_bytes = "4K", max_bytes = "64M", transport = "tcp", split = "optimal", json;
  std::uint64_t factor = 4, iterations = 0, warmup = 3;
  int servers = 1, loops = 1, keys = 8, spare = 0;
  Arguments flags(
      "Measures keys pushed to parameter servers and their means that come back, verifies them, and shows both beside "
      "plain TCP sockets that carry the same bytes.",
      "trireme perf");
  flags.footer(
      "Every rank is a worker; servers live on the first ranks, beside workers. Alone: one worker, one server.\n"
      "Several: trireme run -n 4 -- trireme perf push_pull --servers 2.\n"
      "With --spare K the last K ranks only serve, and --split says which ranks hold keys: optimal, each as much as lets all links end "
      "together (Jiang et al., OSDI 2020); workers, equally on those alone; spare, equally on those alone.\n"
      "With trireme run --tls (TRIREME_TLS=1) workers and servers talk through TLS, as in training.\n"
      "Rows \"raw TCP\": one thread sends the same bytes to another of its process over loopback, which sends each key back when it "
      "is whole.");
  flags.option("OP", operation, "push_pull");
  flags.option("--min-bytes", min_bytes, "smallest key (default 4K; suffixes K, M, G)");
  flags.option("--max-bytes", max_bytes, "largest key (default 64M)");
  flags.option("--factor", factor, "between one size and the next (default 4)", {.least = 2, .most = 1 << 20});
  flags.option("--servers", servers, "on so many ranks (default: on all)", {.least = 1, .most = 1 << 16});
  flags.option("--spare", spare, "ranks, the last ones, that only serve (default 0)", {.least = 0, .most = 1 << 16});
  flags.option("--split", split, "of keys over ranks: optimal (default with --spare), workers, spare")
      .one_of({"optimal", "workers", "spare"});
  flags.option("--loops", loops, "event loops of each server (default 1)", {.least = 1, .most = 64});
  flags.option("--keys", keys, "under way at once (default 8)", {.least = 1, .most = 4096});
  flags
      .option("--transport", transport,
              "tcp (default), also on one host; local: a Unix socket where worker and server are on one host")
      .one_of({"tcp", "local"});
  flags.option("--iterations", iterations, "timed ones of each size (default: 8 to 200, about 1 GiB in all)",
               {.least = 1, .most = 1'000'000});
  flags.option("--warmup", warmup, "untimed ones before them, verified, at least 1 (default 3)",
               {.least = 1, .most = 1'000'000});
  flags.option("--json", json, "file to write the rows to as well, row after row");
  if (!flags.parse(arguments)) return std::nullopt;
  const auto refuse = [](const std::string& why) { fail(ErrorCode::invalid_argument, why); };
  PushPullOptions options{.min_bytes = parse_byte_size(min_bytes, "--min-bytes"),
                          .max_bytes = parse_byte_size(max_bytes, "--max-bytes"),
                          .factor = factor,
                          .loops = static_cast<std::uint32_t>(loops),
                          .keys = static_cast<std::uint32_t>(keys),
                          .tcp = transport == "tcp",
                          .warmup = warmup};
  if (options.max_bytes.value == 0 || options.max_bytes.value > (std::uint64_t{1} << 32))
    refuse("--max-bytes must be above 0 and at most 4G");
  if (options.min_bytes > options.max_bytes) refuse("--min-bytes is above --max-bytes");
  if (flags.given("--servers")) options.servers = servers;
  options.spare = spare;
  if (flags.given("--split") || spare > 0)
    options.split = split == "optimal" ? PushPullSplit::optimal
                    : split == "spare" ? PushPullSplit::spare
                                       : PushPullSplit::workers;
  if (options.split && options.servers)
    refuse("--servers and --split, or --spare, both say where servers are: give one");
  if (options.split == PushPullSplit::spare && spare == 0) refuse("--split spare needs ranks that only serve: --spare");
  if (flags.given("--iterations")) options.iterations = iterations;
  if (flags.given("--json")) {
    if (json.empty()) refuse("--json: the name of the file is empty");
    options.json = json;
  }
  return options;
}

}  // namespace trireme::cli
