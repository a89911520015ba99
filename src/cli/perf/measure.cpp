// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/measure.hpp"

#include "cli/perf/summary.hpp"
#include "cli/perf/verify.hpp"
#include "trireme/base/error.hpp"

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

PerfBench::PerfBench(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts)
    : PerfBench(world, options, counts, perf_memory(options, counts, world.size())) {}

PerfBench::PerfBench(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts,
                     const PerfMemory& sizes)
    : options_(options),
      communicator_(world.communicator()),
      // For what is only moved any values do; those of max have the widest range.
      pattern_(options.dtype, options.operation->reduces ? options.op.kind : ReduceKind::max, world.rank(),
               world.size()),
      input_(world.memory(), Bytes{sizes.input}, options.arena),
      output_(world.memory(), Bytes{sizes.output}, options.arena),
      bound_(communicator_,
             {.operation = options.operation,
              .dtype = options.dtype,
              .op = options.op,
              .root = options.root,
              .rotates = options.cold,
              .input_bytes = sizes.input,
              .output_bytes = sizes.output},
             options.operation->blocks(world.size()) * counts.back() * size_of(options.dtype),
             reaches_by_network(world), world.local_size() == world.size()) {}

CallOptions PerfBench::call_options() const { return {.order = options_.order, .label = "perf"}; }

Explanation PerfBench::explain(std::size_t count) const {
  if (!options_.operation->explains) return {};
  return communicator_.explain(count, options_.dtype, call_options());
}

std::span<std::byte> PerfBench::input(std::size_t count, std::uint64_t turn) const {
  const std::size_t size = count_of(options_.operation->input, communicator_.size()) * count * size_of(options_.dtype);
  return Rotation(size, options_.cold).of(input_.bytes(), turn);
}

std::span<std::byte> PerfBench::output(std::size_t count, std::uint64_t turn) const {
  if (options_.in_place()) return input(count, turn);
  const std::size_t size = count_of(options_.operation->output, communicator_.size()) * count * size_of(options_.dtype);
  return Rotation(size, options_.cold).of(output_.bytes(), turn);
}

double PerfBench::call(std::size_t count, std::uint64_t turn) {
  const std::span<std::byte> from = input(count, turn), to = output(count, turn);
  const std::size_t element = size_of(options_.dtype);
  const PerfCall call{.input = {from.data(), from.size() / element, options_.dtype},
                      .output = {to.data(), to.size() / element, options_.dtype},
                      .root = options_.root,
                      .op = options_.op,
                      .options = call_options()};
  communicator_.barrier({.label = "perf"});
  const auto begin = Clock::now();
  options_.operation->call(communicator_, call);
  const std::chrono::duration<double> took = Clock::now() - begin;
  return took.count();
}

std::vector<double> PerfBench::time(std::size_t count, std::uint64_t iterations, std::uint64_t& wrong) {
  const Verify verify{pattern_, *options_.operation, communicator_.rank(), communicator_.size(), options_.root};
  std::vector<double> times;
  std::uint64_t written = 0;
  for (std::uint64_t i = 0; i < options_.warmup + iterations; ++i) {
    const bool timed = i >= options_.warmup;
    const bool rewrites = options_.cold || !timed;
    const bool last = i + 1 == options_.warmup + iterations;
    const std::uint64_t turn = options_.cold ? i : 0;
    if (rewrites) pattern_.fill(input(count, turn), written = i);
    const double took = call(count, turn);
    if (timed) times.push_back(took);
    if (rewrites || last) wrong += verify.wrong(output(count, turn), count, written);
  }
  return times;
}

PerfRow PerfBench::measure(std::size_t count) {
  const Bytes size{options_.operation->blocks(communicator_.size()) * count * size_of(options_.dtype)};
  const std::uint64_t iterations = options_.iterations_for(size);
  std::uint64_t wrong = 0;
  const std::vector<double> times = time(count, iterations, wrong);
  PerfRow row = summarise(communicator_, options_, count, times, wrong);
  row.algorithm = explain(count).algorithm;
  if (const auto bound = bound_.measure(pattern_, count, iterations)) row.bound_us = 1e6 * *bound;
  return row;
}

}  // namespace trireme::cli
