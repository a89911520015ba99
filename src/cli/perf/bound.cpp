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

BoundKind agree(Communicator& communicator, bool by_network, bool one_host) {
  if (communicator.size() == 1) return BoundKind::none;
  const std::array<std::int32_t, 2> mine{by_network ? 1 : 0, one_host ? 0 : 1};
  std::vector<std::int32_t> all(2 * static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::int32_t>(mine), std::span<std::int32_t>(all), {.label = "bound"});
  bool network = false, several_hosts = false;
  for (std::size_t at = 0; at < all.size(); at += 2) {
    network |= all[at] != 0;
    several_hosts |= all[at + 1] != 0;
  }
  if (!network) return BoundKind::copy;
  return several_hosts ? BoundKind::exchange : BoundKind::sockets;
}

}  // namespace

std::string_view describe(BoundKind kind) {
  switch (kind) {
    case BoundKind::copy:
      return "a yardstick, no limit: every rank at once copies as many bytes from memory to memory, measured here";
    case BoundKind::sockets:
      return "a yardstick, no limit: every rank at once sends as many bytes to the next over a plain TCP socket and "
             "receives as many, measured here";
    case BoundKind::exchange:
      return "a yardstick, no limit: every rank at once sends as many bytes to the next rank and receives as many, "
             "measured here";
    default: return "0: one rank has nothing to move";
  }
}

Bound::Bound(const Communicator& communicator, bool by_network, bool one_host)
    : communicator_(communicator), kind_(agree(communicator_, by_network, one_host)) {
  if (kind_ == BoundKind::sockets) sockets_.emplace(communicator_);
}

void Bound::move(std::span<std::byte> from, std::span<std::byte> to) {
  switch (kind_) {
    case BoundKind::copy: std::memcpy(to.data(), from.data(), from.size()); return;
    case BoundKind::sockets: sockets_->exchange(from, to); return;
    default: exchange(communicator_, from, to); return;
  }
}

double Bound::measure(std::span<std::byte> from, std::span<std::byte> to, std::uint64_t iterations) {
  if (kind_ == BoundKind::none) return 0.0;
  std::vector<double> mine;
  for (std::uint64_t i = 0; i < warmup + iterations; ++i) {
    communicator_.barrier({.label = "bound"});
    const auto begin = Clock::now();
    move(from, to);
    const std::chrono::duration<double> took = Clock::now() - begin;
    if (i >= warmup) mine.push_back(took.count());
  }
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<double> all(mine.size() * ranks);
  communicator_.all_gather(std::span<const double>(mine), std::span<double>(all), {.label = "bound"});
  return percentile(slowest(all, ranks), 0.5);
}

}  // namespace trireme::cli
