// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/device_copy.hpp"

#include "cli/perf/buffer.hpp"
#include "cli/perf/statistics.hpp"
#include "cli/perf/summary.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::byte mark{0x5a};

}  // namespace

std::size_t DeviceCopy::bytes(const PerfOperation& operation, int ranks, std::size_t block) {
  // What is broadcast is only read on one rank, and only written on the others.
  const std::size_t written = operation.place == PerfPlace::in_place ? 0 : count_of(operation.output, ranks);
  return ((count_of(operation.input, ranks) + written) * block + 1) / 2;
}

std::size_t DeviceCopy::memory(std::size_t size) { return Rotation(size, true).bytes(); }

DeviceCopy::DeviceCopy(const Communicator& communicator, std::size_t memory)
    : communicator_(communicator),
      runtime_(communicator.device_runtime()),
      stream_(runtime_, communicator.device()->index),
      from_(runtime_, communicator.device()->index, memory),
      to_(runtime_, communicator.device()->index, memory) {
  if (from_.size_bytes() != 0) runtime_->fill(from_.data(), mark, from_.size_bytes(), stream_.get());
  if (to_.size_bytes() != 0) runtime_->fill(to_.data(), std::byte{0}, to_.size_bytes(), stream_.get());
  stream_.synchronize();
}

double DeviceCopy::measure(std::size_t size, std::uint64_t batches, std::uint64_t calls) {
  const Rotation rotation(size, true);
  std::vector<double> times;
  for (std::uint64_t batch = 0; batch <= batches; ++batch) {  // the first is not timed
    communicator_.barrier({.label = "bound"});
    const auto begin = Clock::now();
    for (std::uint64_t call = 0; call < calls; ++call) {
      const std::size_t at = rotation.offset(batch * calls + call);
      runtime_->copy(to_.data() + at, from_.data() + at, size, stream_.get());
    }
    stream_.synchronize();
    const std::chrono::duration<double> took = Clock::now() - begin;
    if (batch > 0) times.push_back(took.count() / static_cast<double>(calls));
  }
  std::array<std::byte, 256> end{};
  const std::size_t looked_at = std::min(size, end.size());
  runtime_->copy(end.data(), to_.data() + size - looked_at, looked_at, stream_.get());
  stream_.synchronize();
  if (std::any_of(end.begin(), end.begin() + static_cast<std::ptrdiff_t>(looked_at),
                  [](std::byte each) { return each != mark; }))
    fail(ErrorCode::corrupt, "the yardstick's own copy has not arrived");
  return percentile(slowest_of_all(communicator_, times), 0.5);
}

}  // namespace trireme::cli
