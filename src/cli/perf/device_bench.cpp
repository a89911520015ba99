// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/device_bench.hpp"

#include "cli/perf/memory.hpp"
#include "cli/perf/summary.hpp"
#include "cli/perf/verify.hpp"

#include <algorithm>
#include <chrono>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// How many blocks the one memory of an operation in place has.
std::size_t blocks_in_place(const PerfOperation& operation, int ranks) {
  return std::max(count_of(operation.input, ranks), count_of(operation.output, ranks));
}

}  // namespace

DeviceBench::Sizes DeviceBench::sizes_of(const PerfOptions& options, const std::vector<std::size_t>& counts,
                                         int ranks) {
  const PerfOperation& operation = *options.operation;
  Sizes sizes;
  for (const std::size_t count : counts) {
    const std::size_t block = count * size_of(options.dtype);
    const std::size_t in = count_of(operation.input, ranks) * block, out = count_of(operation.output, ranks) * block;
    if (options.in_place()) {
      sizes.input = std::max(sizes.input, Rotation(std::max(in, out), options.cold).bytes());
    } else {
      sizes.input = std::max(sizes.input, Rotation(in, options.cold).bytes());
      sizes.output = std::max(sizes.output, Rotation(out, true).bytes());
    }
    sizes.staging = std::max({sizes.staging, in, out});
    sizes.copied = std::max(sizes.copied, DeviceCopy::memory(DeviceCopy::bytes(operation, ranks, block)));
  }
  return sizes;
}

std::shared_ptr<device::Runtime> DeviceBench::with_room(const World& world, const Sizes& sizes) {
  const bool emulated = world.device_runtime()->name() != "cuda";                        // its memory is the host's
  require_memory(world, Bytes{(emulated ? sizes.on_device() : 0) + 3 * sizes.staging});  // engines stage, too
  require_device_memory(world, Bytes{sizes.on_device()});
  return world.device_runtime();
}

DeviceBench::DeviceBench(World& world, const PerfOptions& options, const std::vector<std::size_t>& counts)
    : DeviceBench(sizes_of(options, counts, world.size()), world, options) {}

DeviceBench::DeviceBench(const Sizes& sizes, World& world, const PerfOptions& options)
    : options_(options),
      communicator_(world.communicator()),
      runtime_(with_room(world, sizes)),
      stream_(runtime_, world.device()->index),
      pattern_(options.dtype, options.operation->reduces ? options.op.kind : ReduceKind::max, world.rank(),
               world.size()),
      staging_(runtime_, sizes.staging),
      input_(runtime_, world.device()->index, sizes.input),
      output_(runtime_, world.device()->index, sizes.output),
      copy_(communicator_, sizes.copied) {}

CallOptions DeviceBench::call_options() const {
  return {.order = options_.order, .stream = stream_.get(), .label = "perf"};
}

Explanation DeviceBench::explain(std::size_t count) const {
  Explanation explanation = communicator_.explain(count, options_.dtype, call_options());
  if (options_.operation->explains) return explanation;
  return {.algorithm = {}, .text = {}, .engine = explanation.engine};
}

DeviceBench::Range DeviceBench::nested(PerfBlocks blocks, std::size_t count, std::uint64_t turn) const {
  const int ranks = communicator_.size();
  const std::size_t block = count * size_of(options_.dtype), all = blocks_in_place(*options_.operation, ranks);
  const std::size_t own = count_of(blocks, ranks);
  const std::size_t before = own == all ? 0 : static_cast<std::size_t>(communicator_.rank());
  return {input_.data() + Rotation(all * block, options_.cold).offset(turn) + before * block, own * block};
}

DeviceBench::Range DeviceBench::input(std::size_t count, std::uint64_t turn) const {
  if (options_.in_place()) return nested(options_.operation->input, count, turn);
  const std::size_t size = count_of(options_.operation->input, communicator_.size()) * count * size_of(options_.dtype);
  return {input_.data() + Rotation(size, options_.cold).offset(turn), size};
}

DeviceBench::Range DeviceBench::output(std::size_t count, std::uint64_t turn) const {
  if (options_.in_place()) return nested(options_.operation->output, count, turn);
  const std::size_t size = count_of(options_.operation->output, communicator_.size()) * count * size_of(options_.dtype);
  return {output_.data() + Rotation(size, true).offset(turn), size};
}

/// As many calls as have buffers of their own to write to.
std::uint64_t DeviceBench::batch_of(std::size_t count) const {
  if (options_.in_place() && !options_.cold) return 1;
  return Rotation(options_.operation->blocks(communicator_.size()) * count * size_of(options_.dtype), true).buffers();
}

PerfCall DeviceBench::call_of(std::size_t count, std::uint64_t turn) const {
  const Range from = input(count, turn), to = output(count, turn);
  const std::size_t element = size_of(options_.dtype);
  const Device device = stream_.get().device;
  return {.input = {from.data, from.size / element, options_.dtype, device},
          .output = {to.data, to.size / element, options_.dtype, device},
          .root = options_.root,
          .op = options_.op,
          .options = call_options()};
}

void DeviceBench::write(std::size_t count, std::uint64_t turn, std::uint64_t iteration) {
  const Range to = input(count, turn);
  pattern_.fill({staging_.data(), to.size}, iteration);
  runtime_->copy(to.data, staging_.data(), to.size, stream_.get());
  stream_.synchronize();
}

std::uint64_t DeviceBench::wrong(std::size_t count, std::uint64_t turn, std::uint64_t iteration) {
  const Verify verify{pattern_, *options_.operation, communicator_.rank(), communicator_.size(), options_.root};
  const Range from = output(count, turn);
  runtime_->copy(staging_.data(), from.data, from.size, stream_.get());
  stream_.synchronize();
  return verify.wrong({staging_.data(), from.size}, count, iteration);
}

/// Seconds per call.
double DeviceBench::run(std::size_t count, std::uint64_t first, std::uint64_t calls) {
  works_.clear();
  communicator_.barrier({.label = "perf"});
  const auto begin = Clock::now();
  if (options_.operation->apart && communicator_.size() == 1) {  // nobody sends to itself
    for (std::uint64_t i = first; i < first + calls; ++i)
      runtime_->copy(output(count, i).data, input(count, i).data, input(count, i).size, stream_.get());
    stream_.synchronize();
  } else {
    for (std::uint64_t i = first; i < first + calls; ++i)
      options_.operation->start(communicator_, call_of(count, i), works_);
    for (Work& each : works_) each.wait();
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  return took.count() / static_cast<double>(calls);
}

std::vector<double> DeviceBench::time(std::size_t count, std::uint64_t batches, std::uint64_t calls,
                                      std::uint64_t& wrong_elements) {
  works_.reserve(2 * calls);
  const std::uint64_t warmup = (options_.warmup + calls - 1) / calls;
  std::vector<double> times;
  for (std::uint64_t batch = 0; batch < warmup + batches; ++batch) {
    const bool timed = batch >= warmup, last = batch + 1 == warmup + batches;
    const std::uint64_t first = batch * calls;
    for (std::uint64_t i = first; options_.cold && i < first + calls; ++i) write(count, i, i);
    if (!options_.cold && batch == 0) write(count, 0, 0);
    const double took = run(count, first, calls);
    if (timed) times.push_back(took);
    for (std::uint64_t i = first; (options_.cold || !timed || last) && i < first + calls; ++i)
      wrong_elements += wrong(count, i, options_.cold ? i : 0);
  }
  return times;
}

PerfRow DeviceBench::measure(std::size_t count) {
  const PerfOperation& operation = *options_.operation;
  const int ranks = communicator_.size();
  const std::size_t block = count * size_of(options_.dtype);
  const std::uint64_t calls = batch_of(count);
  const std::uint64_t batches = (options_.iterations_for(Bytes{operation.blocks(ranks) * block}) + calls - 1) / calls;
  std::uint64_t wrong_elements = 0;
  const std::vector<double> times = time(count, batches, calls, wrong_elements);
  PerfRow row = summarise(communicator_, options_, count, times, wrong_elements);
  row.algorithm = explain(count).algorithm;
  row.iterations = batches * calls;
  row.batch = calls;
  row.bound_us = 1e6 * copy_.measure(DeviceCopy::bytes(operation, ranks, block), batches, calls);
  return row;
}

}  // namespace trireme::cli
