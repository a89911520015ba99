// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/bound.hpp"

#include "cli/perf/statistics.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <vector>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t warmup = 1;

void exchange(Communicator& communicator, std::span<std::byte> from, std::span<std::byte> to) {
  const int next = (communicator.rank() + 1) % communicator.size();
  const int previous = (communicator.rank() + communicator.size() - 1) % communicator.size();
  Work arriving = communicator.recv_async(TensorView(to.data(), to.size(), DType::u8), previous, {.label = "bound"});
  Work leaving =
      communicator.send_async(ConstTensorView(from.data(), from.size(), DType::u8), next, {.label = "bound"});
  arriving.wait();
  leaving.wait();
}

}  // namespace

std::string_view describe(BoundKind kind) {
  switch (kind) {
    case BoundKind::copy: return "every rank at once copies as many bytes from memory to memory, measured here";
    case BoundKind::exchange:
      return "every rank at once sends as many bytes to the next rank and receives as many, measured here";
    default: return "0: one rank has nothing to move";
  }
}

BoundKind agree_on_bound(Communicator& communicator, bool reached_by_network) {
  if (communicator.size() == 1) return BoundKind::none;
  const std::array<std::int32_t, 1> mine{reached_by_network ? 1 : 0};
  std::vector<std::int32_t> all(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::int32_t>(mine), std::span<std::int32_t>(all), {.label = "bound"});
  for (const std::int32_t each : all) {
    if (each != 0) return BoundKind::exchange;
  }
  return BoundKind::copy;
}

double measure_bound(Communicator& communicator, BoundKind kind, std::span<std::byte> from, std::span<std::byte> to,
                     std::uint64_t iterations) {
  if (kind == BoundKind::none) return 0.0;
  std::vector<double> mine;
  for (std::uint64_t i = 0; i < warmup + iterations; ++i) {
    communicator.barrier({.label = "bound"});
    const auto begin = Clock::now();
    if (kind == BoundKind::copy) {
      std::memcpy(to.data(), from.data(), from.size());
    } else {
      exchange(communicator, from, to);
    }
    const std::chrono::duration<double> took = Clock::now() - begin;
    if (i >= warmup) mine.push_back(took.count());
  }
  const auto ranks = static_cast<std::size_t>(communicator.size());
  std::vector<double> all(mine.size() * ranks);
  communicator.all_gather(std::span<const double>(mine), std::span<double>(all), {.label = "bound"});
  return percentile(slowest(all, ranks), 0.5);
}

}  // namespace trireme::cli
