// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace trireme::models {

/// How the ranks of a job tell one another what batch normalisation finds on their samples. Models know no ranks: whoever has
/// several implements it, over a communicator, say.
/// Order:   every rank calls gather() equally often, in the same order, each time with as many values as the others.
/// Threads: one at a time. What gather() throws leaves the model's call.
class StatisticsExchange {
 public:
  virtual ~StatisticsExchange() = default;
  /// How many take part, the caller among them.
  virtual std::size_t ranks() const = 0;
  /// `all` becomes every rank's `own`, in rank order: the same bits on every rank.
  /// Shape: all ranks() * own.size(), apart from own.
  virtual void gather(std::span<const double> own, std::span<double> all) = 0;

 protected:
  StatisticsExchange() = default;
  StatisticsExchange(const StatisticsExchange&) = delete;
  StatisticsExchange& operator=(const StatisticsExchange&) = delete;
};

}  // namespace trireme::models
