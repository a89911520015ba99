// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::peers {

/// What a library must do to be measured as `trireme perf` measures ours.
class Library {
 public:
  virtual ~Library() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual void barrier() = 0;
  /// Sums `count` elements of all ranks. `input` is `output` where the result replaces it.
  virtual void all_reduce(const void* input, void* output, std::size_t count, DType dtype) = 0;
  /// Every rank's `mine`, rank after rank.
  virtual std::vector<double> all_gather(std::span<const double> mine) = 0;
};

/// What to measure, as `trireme perf --compare` spells it out: DTYPE cold|warm WARMUP COUNT:ITERATIONS:BUFFERS…
/// How many calls and buffers a size takes is decided there and nowhere else.
struct Orders {
  struct Size {
    std::size_t count = 0;
    std::uint64_t iterations = 0;
    std::size_t buffers = 1;
  };
  DType dtype = DType::f32;
  bool cold = true;
  std::uint64_t warmup = 0;
  std::vector<Size> sizes;
};
/// Errors: std::invalid_argument.
Orders parse_orders(std::span<char* const> words);

/// Fills, calls, times and verifies each size as `trireme perf all_reduce` does: cold: inputs are rewritten before every
/// call, in buffers used in turn, and replaced by the result; warm: one input, written in the warm-up. A barrier before each
/// call; the slowest rank's time counts. Rank 0 prints a line per size:
/// "peer bytes=… count=… time_us=… p99_us=… wrong=…".
void measure(Library& library, const Orders& orders);

}  // namespace trireme::peers
