// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/reduction_tree.hpp"
#include "trireme/models/statistics_exchange.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace trireme::models::layers {

/// What batch normalisation sums over the samples of all ranks: the ranks' parts, combined along the balanced tree over them,
/// so that every rank has the same bits. A rank alone gets back what it gave.
/// Cost: one gather() per call; no heap after construction.
class SharedStatistics {
 public:
  /// For calls of up to `channels` channels. `exchange` must outlive it.
  SharedStatistics(StatisticsExchange& exchange, std::size_t channels);

  /// mean[c], and squares[c] = the sum of squared differences from it, of `count` own values become those of all ranks'
  /// values, whose number is returned. A part of count 0 changes no bit.
  /// Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
  double combine_moments(double count, std::span<double> mean, std::span<double> squares);
  /// first[c] and second[c] become the sums over the ranks of share * first[c] and share * second[c].
  void add(double share, std::span<double> first, std::span<double> second);

 private:
  template <class Combine>
  void fold(std::size_t width, Combine combine);

  StatisticsExchange& exchange_;
  layout::ReductionTree tree_;
  std::vector<double> own_;
  std::vector<double> all_;
};

}  // namespace trireme::models::layers
