// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/measure.hpp"

#include "cli/perf/statistics.hpp"
#include "trireme/base/error.hpp"
#include "trireme/plan/graph.hpp"

#include <array>
#include <chrono>
#include <span>
#include <vector>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

bool reaches_by_network(const World& world) {
  for (int peer = 0; peer < world.size(); ++peer) {
    if (world.transport(peer) == "tcp") return true;
  }
  return false;
}

}  // namespace

PerfBench::PerfBench(World& world, const PerfOptions& options, std::size_t largest_count)
    : options_(options),
      communicator_(world.communicator()),
      pattern_(options.dtype, options.op.kind, world.rank(), world.size()),
      data_(world.memory(), Bytes{largest_count * size_of(options.dtype)}, options.arena),
      other_(world.memory(), Bytes{largest_count * size_of(options.dtype)}, options.arena),
      bound_(communicator_, reaches_by_network(world), world.local_size() == world.size()) {}

CallOptions PerfBench::call_options() const { return {.order = options_.order, .label = "perf"}; }

Explanation PerfBench::explain(std::size_t count) const {
  return communicator_.explain(count, options_.dtype, call_options());
}

double PerfBench::call(std::size_t count, std::uint64_t iteration, std::uint64_t& wrong) {
  const std::span<std::byte> bytes = data_.first(count * size_of(options_.dtype));
  const TensorView data(bytes.data(), count, options_.dtype);
  pattern_.fill(bytes, iteration);
  communicator_.barrier({.label = "perf"});
  const auto begin = Clock::now();
  communicator_.all_reduce(data, data, options_.op, call_options());
  const std::chrono::duration<double> took = Clock::now() - begin;
  wrong += pattern_.wrong(bytes, iteration);
  return took.count();
}

PerfRow PerfBench::measure(std::size_t count) {
  const Bytes size{count * size_of(options_.dtype)};
  PerfRow row{.count = count, .algorithm = explain(count).algorithm, .iterations = options_.iterations_for(size)};
  std::uint64_t iteration = 0;
  std::uint64_t wrong = 0;
  while (iteration < options_.warmup) call(count, iteration++, wrong);
  std::vector<double> mine;
  for (std::uint64_t i = 0; i < row.iterations; ++i) mine.push_back(call(count, iteration++, wrong));

  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<double> times(mine.size() * ranks);
  communicator_.all_gather(std::span<const double>(mine), std::span<double>(times), {.label = "perf times"});
  const std::array<std::int64_t, 1> wrong_here{static_cast<std::int64_t>(wrong)};
  std::vector<std::int64_t> wrong_anywhere(ranks);
  communicator_.all_gather(std::span<const std::int64_t>(wrong_here), std::span<std::int64_t>(wrong_anywhere),
                           {.label = "perf wrong"});
  for (const std::int64_t each : wrong_anywhere) row.wrong += static_cast<std::uint64_t>(each);

  times = slowest(times, ranks);
  const double median = percentile(times, 0.5);
  row.time_us = 1e6 * median;
  row.p99_us = 1e6 * percentile(times, 0.99);
  row.algbw = algorithm_bandwidth(size, median);
  row.busbw = all_reduce_bus_bandwidth(row.algbw, communicator_.size());
  row.bound_us = 1e6 * bound_.measure(data_.first(size.value), other_.first(size.value), row.iterations);
  return row;
}

}  // namespace trireme::cli
