// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/feature_moments.hpp"
#include "trireme/data/rows.hpp"

#include <span>
#include <vector>

namespace trireme::data {

/// x -> (x - mean) inverse_deviation for every feature: over the rows it was fitted to, mean 0 and deviation 1.
struct Standardisation {
  std::vector<double> mean;
  std::vector<double> inverse_deviation;  ///< 1 for a feature that is constant

  /// From the moments of all rows, the same on any number of ranks. The deviation divides by the rows, not by one less.
  /// Errors: those of FeatureMoments::summary.
  static Standardisation fit(const FeatureMoments& moments);

  /// In place; computed in f64, rounded once.
  /// Errors: invalid_argument when the rows have other features.
  void apply(DenseTable& table) const;
  /// Of rows in anybody's memory, one after the other.  Shape: values.size() is a multiple of mean.size().
  void apply(std::span<float> values) const;
};

/// x -> x factor for every feature: 0 stays 0, so sparse rows stay sparse (a mean could not be taken away).
struct SparseScaling {
  std::vector<double> factor;

  /// 1 over the deviation; 1 for a feature that is constant.
  static SparseScaling by_deviation(const FeatureMoments& moments);
  /// 1 over the largest absolute value; 1 for a feature that is 0 everywhere. All values lie in [-1, 1].
  static SparseScaling by_largest(const FeatureMoments& moments);
  /// The same from max |x| of every feature: all that rows of very many features need find out.
  static SparseScaling by_largest(std::span<const float> largest);

  /// In place; computed in f64, rounded once. Rows may have fewer features.
  /// Errors: invalid_argument when the rows have more features.
  void apply(SparseTable& table) const;
};

}  // namespace trireme::data
