// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/operation.hpp"

#include <algorithm>
#include <array>

namespace trireme::cli {
namespace {

double once(int) { return 1.0; }
double nothing(int) { return 0.0; }
double all_but_own(int ranks) { return static_cast<double>(ranks - 1) / ranks; }
double twice_all_but_own(int ranks) { return 2.0 * all_but_own(ranks); }

PerfOrigin combination(int, int, int, int) { return {everyone, 0}; }
PerfOrigin own_part_of_combination(int rank, int, int, int) { return {everyone, rank}; }
PerfOrigin block_of_each(int, int, int, int block) { return {block, 0}; }
PerfOrigin the_roots(int, int, int root, int) { return {root, 0}; }
PerfOrigin own_block_of_root(int rank, int, int root, int) { return {root, rank}; }
PerfOrigin own_block_of_each(int rank, int, int, int block) { return {block, rank}; }
PerfOrigin the_one_before(int rank, int ranks, int, int) { return {(rank + ranks - 1) % ranks, 0}; }

void send_to_next(Communicator& communicator, const PerfCall& call) {
  const int rank = communicator.rank(), ranks = communicator.size();
  if (ranks == 1) {
    const auto* from = static_cast<const std::byte*>(call.input.data);
    std::copy_n(from, call.input.size_bytes(), static_cast<std::byte*>(call.output.data));
    return;
  }
  Work arriving = communicator.recv_async(call.output, (rank + ranks - 1) % ranks, call.options);
  Work leaving = communicator.send_async(call.input, (rank + 1) % ranks, call.options);
  arriving.wait();
  leaving.wait();
}

void start_to_next(Communicator& communicator, const PerfCall& call, std::vector<Work>& works) {
  const int rank = communicator.rank(), ranks = communicator.size();
  works.push_back(communicator.recv_async(call.output, (rank + ranks - 1) % ranks, call.options));
  works.push_back(communicator.send_async(call.input, (rank + 1) % ranks, call.options));
}

constexpr std::array operations{
    PerfOperation{.name = "all_reduce",
                  .place = PerfPlace::in_place_if_rewritten,
                  .reduces = true,
                  .full_duplex = true,
                  .explains = true,
                  .bus_factor = twice_all_but_own,
                  .origin = combination,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.all_reduce(c.input, c.output, c.op, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.all_reduce_async(c.input, c.output, c.op, c.options));
                      }},
    PerfOperation{.name = "reduce_scatter",
                  .input = PerfBlocks::per_rank,
                  .reduces = true,
                  .full_duplex = true,
                  .bus_factor = all_but_own,
                  .origin = own_part_of_combination,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.reduce_scatter(c.input, c.output, c.op, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.reduce_scatter_async(c.input, c.output, c.op, c.options));
                      }},
    PerfOperation{.name = "all_gather",
                  .output = PerfBlocks::per_rank,
                  .full_duplex = true,
                  .bus_factor = all_but_own,
                  .origin = block_of_each,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.all_gather(c.input, c.output, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.all_gather_async(c.input, c.output, c.options));
                      }},
    PerfOperation{.name = "broadcast",
                  .place = PerfPlace::in_place,
                  .rooted = true,
                  .bus_factor = once,
                  .origin = the_roots,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.broadcast(c.output, c.root, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.broadcast_async(c.output, c.root, c.options));
                      }},
    PerfOperation{.name = "reduce",
                  .reduces = true,
                  .rooted = true,
                  .root_only = true,
                  .bus_factor = once,
                  .origin = combination,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.reduce(c.input, c.output, c.root, c.op, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.reduce_async(c.input, c.output, c.root, c.op, c.options));
                      }},
    PerfOperation{.name = "gather",
                  .output = PerfBlocks::per_rank,
                  .rooted = true,
                  .root_only = true,
                  .bus_factor = all_but_own,
                  .origin = block_of_each,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.gather(c.input, c.output, c.root, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.gather_async(c.input, c.output, c.root, c.options));
                      }},
    PerfOperation{.name = "scatter",
                  .input = PerfBlocks::per_rank,
                  .rooted = true,
                  .bus_factor = all_but_own,
                  .origin = own_block_of_root,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.scatter(c.input, c.output, c.root, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.scatter_async(c.input, c.output, c.root, c.options));
                      }},
    PerfOperation{.name = "all_to_all",
                  .input = PerfBlocks::per_rank,
                  .output = PerfBlocks::per_rank,
                  .full_duplex = true,
                  .bus_factor = all_but_own,
                  .origin = own_block_of_each,
                  .call = [](Communicator& communicator,
                             const PerfCall& c) { communicator.all_to_all(c.input, c.output, c.options); },
                  .start =
                      [](Communicator& communicator, const PerfCall& c, std::vector<Work>& works) {
                        works.push_back(communicator.all_to_all_async(c.input, c.output, c.options));
                      }},
    PerfOperation{.name = "send_recv",
                  .full_duplex = true,
                  .apart = true,
                  .bus_factor = once,
                  .origin = the_one_before,
                  .call = send_to_next,
                  .start = start_to_next},
    PerfOperation{.name = "barrier",
                  .input = PerfBlocks::none,
                  .output = PerfBlocks::none,
                  .bus_factor = nothing,
                  .origin = combination,  // of no block
                  .call = [](Communicator& communicator, const PerfCall& c) { communicator.barrier(c.options); }},
};

}  // namespace

std::size_t count_of(PerfBlocks blocks, int ranks) {
  if (blocks == PerfBlocks::none) return 0;
  return blocks == PerfBlocks::one ? 1 : static_cast<std::size_t>(ranks);
}

std::size_t PerfOperation::blocks(int ranks) const {
  return std::max<std::size_t>({count_of(input, ranks), count_of(output, ranks), 1});
}

std::span<const PerfOperation> perf_operations() { return operations; }

const PerfOperation* find_perf_operation(std::string_view name) {
  for (const PerfOperation& operation : operations) {
    if (operation.name == name) return &operation;
  }
  return nullptr;
}

std::string perf_operation_names() {
  std::string names;
  for (const PerfOperation& operation : operations) {
    if (!names.empty()) names += ", ";
    names += operation.name;
  }
  return names;
}

}  // namespace trireme::cli
