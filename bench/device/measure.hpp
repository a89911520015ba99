// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/owned.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace trireme::bench {

/// The device that is measured, or played.
struct Ground {
  std::shared_ptr<device::Runtime> runtime;
  const device::OwnedStream& stream;
  std::size_t elements;  ///< of large arrays
  bool whole_list;       ///< whether lists of parameters have their true sizes
};

/// One row: work that is checked and then timed.
struct Case {
  std::string name;
  std::size_t bytes = 0;         ///< read and written by one `run`
  std::function<void()> run;     ///< gives the work to the ground's stream
  std::function<bool()> verify;  ///< after one `run`: whether the result has the host's bits
};

/// Makes a case, with its memory: one exists at a time.
using CaseMaker = std::function<Case(const Ground&)>;

struct Interval {
  double median = 0;
  double low = 0;   ///< the least
  double high = 0;  ///< the greatest
};

/// Seconds of one `run`: batches of them, so long that giving and awaiting them does not show, after one that warms up.
Interval time_of(const Ground& ground, const std::function<void()>& run, int batches, double batch_seconds);

}  // namespace trireme::bench
