// SPDX-License-Identifier: Apache-2.0
#include "pipeline/schedule_builder.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/generate.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

namespace trireme::pipeline {
namespace {

constexpr std::int64_t most_actions = std::int64_t{1} << 26;

void require_one_chunk(std::string_view name, const ScheduleSize& size) {
  if (size.chunks != 1)
    fail(ErrorCode::invalid_argument, "schedule " + std::string(name) + " has one stage per rank, not " +
                                          std::to_string(size.chunks) + ": interleaved has several");
}

}  // namespace

ScheduleBuilder::ScheduleBuilder(std::string_view name, const ScheduleSize& size) {
  const auto require = [&](int value, const char* what) {
    if (value < 1)
      fail(ErrorCode::invalid_argument,
           "schedule " + std::string(name) + " with " + std::to_string(value) + " " + what + ": give at least 1");
  };
  require(size.ranks, "ranks");
  require(size.micro_batches, "micro-batches");
  require(size.chunks, "chunks per rank");
  // Generators fill micro-batches up to 2p - 1.
  const std::int64_t micro_batches = std::max(std::int64_t{size.micro_batches}, 2 * std::int64_t{size.ranks});
  if (std::int64_t{size.ranks} * size.chunks > most_actions / 3 / micro_batches)
    fail(ErrorCode::invalid_argument, "schedule " + std::string(name) + " of " + std::to_string(size.ranks) +
                                          " ranks, " + std::to_string(size.chunks) + " chunks and " +
                                          std::to_string(size.micro_batches) +
                                          " micro-batches has more than 2^26 actions");
  schedule_.stages = size.ranks * size.chunks;
  schedule_.micro_batches = size.micro_batches;
  schedule_.ranks.resize(static_cast<std::size_t>(size.ranks));
}

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names{"gpipe", "1f1b", "interleaved", "zb-h1", "zb-v"};
  return names;
}

Schedule make_schedule(std::string_view name, const ScheduleSize& size) {
  if (name == "interleaved") return interleaved(size.ranks, size.micro_batches, size.chunks);
  if (name == "zb-v") {
    if (size.chunks != 1 && size.chunks != 2)
      fail(ErrorCode::invalid_argument,
           "schedule zb-v has two stages per rank, not " + std::to_string(size.chunks) + ": interleaved has several");
    return zero_bubble_v(size.ranks, size.micro_batches);
  }
  if (name == "gpipe" || name == "1f1b" || name == "zb-h1") {
    require_one_chunk(name, size);
    return name == "gpipe"  ? gpipe(size.ranks, size.micro_batches)
           : name == "1f1b" ? one_forward_one_backward(size.ranks, size.micro_batches)
                            : zero_bubble_h1(size.ranks, size.micro_batches);
  }
  std::string known;
  for (const std::string& each : schedule_names()) known += (known.empty() ? "" : ", ") + each;
  fail(ErrorCode::invalid_argument,
       "no pipeline schedule is called '" + std::string(name.substr(0, 100)) + "': there are " + known);
}

}  // namespace trireme::pipeline
