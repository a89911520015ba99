// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/summary.hpp"

#include "cli/perf/statistics.hpp"

#include <array>

namespace trireme::cli {
namespace {

std::uint64_t sum_over_ranks(Communicator& communicator, std::uint64_t value) {
  const std::array<std::int64_t, 1> here{static_cast<std::int64_t>(value)};
  std::vector<std::int64_t> anywhere(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::int64_t>(here), std::span<std::int64_t>(anywhere),
                          {.label = "perf wrong"});
  std::uint64_t all = 0;
  for (const std::int64_t each : anywhere) all += static_cast<std::uint64_t>(each);
  return all;
}

}  // namespace

std::vector<double> slowest_of_all(Communicator& communicator, std::span<const double> mine) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<double> all(mine.size() * ranks);
  communicator.all_gather(mine, std::span<double>(all), {.label = "perf times"});
  return slowest(all, ranks);
}

PerfRow summarise(Communicator& communicator, const PerfOptions& options, std::size_t count,
                  std::span<const double> times, std::uint64_t wrong) {
  const PerfOperation& operation = *options.operation;
  const int ranks = communicator.size();
  const Bytes size{operation.blocks(ranks) * count * size_of(options.dtype)};
  const std::vector<double> taken = slowest_of_all(communicator, times);
  const double median = percentile(taken, 0.5);
  PerfRow row{.bytes = size.value, .count = count, .iterations = times.size()};
  row.wrong = sum_over_ranks(communicator, wrong);
  row.time_us = 1e6 * median;
  row.p99_us = 1e6 * percentile(taken, 0.99);
  row.algbw = algorithm_bandwidth(size, median);
  row.busbw = row.algbw * operation.bus_factor(ranks);
  return row;
}

}  // namespace trireme::cli
