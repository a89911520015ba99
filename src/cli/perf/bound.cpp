// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/bound.hpp"

#include "cli/perf/statistics.hpp"
#include "cli/perf/verify.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <cstring>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t warmup = 1;

void library_exchange(Communicator& communicator, std::span<std::byte> from, std::span<std::byte> to) {
  const int next = (communicator.rank() + 1) % communicator.size();
  const int previous = (communicator.rank() + communicator.size() - 1) % communicator.size();
  Work arriving = communicator.recv_async(TensorView(to.data(), to.size(), DType::u8), previous, {.label = "bound"});
  Work leaving =
      communicator.send_async(ConstTensorView(from.data(), from.size(), DType::u8), next, {.label = "bound"});
  arriving.wait();
  leaving.wait();
}

BoundKind agree(Communicator& communicator, const PerfOperation& operation, bool by_network, bool one_host) {
  if (communicator.size() == 1) return BoundKind::none;
  const std::array<std::int32_t, 2> mine{by_network ? 1 : 0, one_host ? 0 : 1};
  std::vector<std::int32_t> all(2 * static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::int32_t>(mine), std::span<std::int32_t>(all), {.label = "bound"});
  bool network = false, several_hosts = false;
  for (std::size_t at = 0; at < all.size(); at += 2) {
    network |= all[at] != 0;
    several_hosts |= all[at + 1] != 0;
  }
  if (!network) return BoundKind::zero_copy;
  if (!operation.full_duplex) return BoundKind::none;
  return several_hosts ? BoundKind::exchange : BoundKind::sockets;
}

/// Bytes every rank must send, and receive, for a row of `bytes`.
std::size_t volume(const PerfOperation& operation, std::size_t bytes, int ranks) {
  return static_cast<std::size_t>(std::ceil(operation.bus_factor(ranks) * static_cast<double>(bytes)));
}

}  // namespace

std::string_view describe(BoundKind kind) {
  switch (kind) {
    case BoundKind::zero_copy:
      return "the same on memory that all ranks map, without any library: a barrier of flags, the bytes, a barrier";
    case BoundKind::sockets:
      return "every rank at once sends what its link must carry over a plain TCP socket and receives as much";
    case BoundKind::exchange:
      return "every rank at once sends what its link must carry to the next rank and receives as much";
    case BoundKind::device_copy:
      return "a copy within the device's memory, by every rank at once: as many bytes read and written as the operation's "
             "input and output have";
    default: return "-: nothing here that this could be held against";
  }
}

Bound::Bound(const Communicator& communicator, const ZeroCopy::Setting& setting, std::size_t largest, bool by_network,
             bool one_host)
    : communicator_(communicator),
      setting_(setting),
      kind_(agree(communicator_, *setting.operation, by_network, one_host)) {
  if (kind_ == BoundKind::zero_copy) {
    zero_copy_.emplace(communicator_, setting);
    if (!zero_copy_->possible()) kind_ = BoundKind::none;
  }
  if (kind_ == BoundKind::sockets) sockets_.emplace(communicator_);
  if (kind_ == BoundKind::sockets || kind_ == BoundKind::exchange) {
    from_.resize(volume(*setting.operation, largest, communicator_.size()));
    to_.resize(from_.size());
  }
}

void Bound::exchange(std::size_t size) {
  const std::span<std::byte> from(from_.data(), size), to(to_.data(), size);
  sockets_ ? sockets_->exchange(from, to) : library_exchange(communicator_, from, to);
}

std::vector<double> Bound::time_zero_copy(const PerfPattern& pattern, std::size_t count, std::uint64_t iterations) {
  std::vector<double> times;
  const Verify verify{pattern, *setting_.operation, communicator_.rank(), communicator_.size(), setting_.root};
  for (std::uint64_t i = 0; i < warmup + iterations; ++i) {
    const std::uint64_t turn = setting_.rotates ? i : 0;
    if (setting_.rotates || i == 0) pattern.fill(zero_copy_->input(count, turn), i);
    communicator_.barrier({.label = "bound"});
    const auto begin = Clock::now();
    zero_copy_->run(count, turn);
    const std::chrono::duration<double> took = Clock::now() - begin;
    if (i >= warmup) {
      times.push_back(took.count());
    } else if (verify.wrong(zero_copy_->output(count, turn), count, i) != 0) {
      fail(ErrorCode::corrupt, "the yardstick's own result is wrong");
    }
  }
  return times;
}

std::vector<double> Bound::time_exchange(std::size_t count, std::uint64_t iterations) {
  std::vector<double> times;
  const int ranks = communicator_.size();
  const std::size_t size =
      volume(*setting_.operation, setting_.operation->blocks(ranks) * count * size_of(setting_.dtype), ranks);
  for (std::uint64_t i = 0; i < warmup + iterations; ++i) {
    if (setting_.rotates) std::memset(from_.data(), static_cast<int>(i % 256), size);
    communicator_.barrier({.label = "bound"});
    const auto begin = Clock::now();
    exchange(size);
    const std::chrono::duration<double> took = Clock::now() - begin;
    if (i >= warmup) times.push_back(took.count());
  }
  return times;
}

std::optional<double> Bound::measure(const PerfPattern& pattern, std::size_t count, std::uint64_t iterations) {
  if (kind_ == BoundKind::none) return std::nullopt;
  const std::vector<double> mine =
      kind_ == BoundKind::zero_copy ? time_zero_copy(pattern, count, iterations) : time_exchange(count, iterations);
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<double> all(mine.size() * ranks);
  communicator_.all_gather(std::span<const double>(mine), std::span<double>(all), {.label = "bound"});
  return percentile(slowest(all, ranks), 0.5);
}

}  // namespace trireme::cli
