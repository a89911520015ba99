// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/standardisation.hpp"

#include "trireme/base/error.hpp"

#include <cmath>
#include <string>
#include <utility>

namespace trireme::data {
namespace {

std::vector<double> inverse_deviations(const std::vector<double>& variance) {
  std::vector<double> inverse(variance.size());
  for (std::size_t j = 0; j < variance.size(); ++j) inverse[j] = variance[j] > 0 ? 1.0 / std::sqrt(variance[j]) : 1.0;
  return inverse;
}

}  // namespace

Standardisation Standardisation::fit(const FeatureMoments& moments) {
  FeatureMoments::Summary summary = moments.summary();
  return {std::move(summary.mean), inverse_deviations(summary.variance)};
}

void Standardisation::apply(DenseTable& table) const {
  if (table.features != mean.size()) {
    fail(ErrorCode::invalid_argument, "a standardisation of " + std::to_string(mean.size()) +
                                          " features applied to rows of " + std::to_string(table.features));
  }
  apply(std::span<float>(table.values));
}

void Standardisation::apply(std::span<float> values) const {
  const std::size_t features = mean.size();
  if (features == 0 || values.size() % features != 0) {
    fail(ErrorCode::invalid_argument,
         std::to_string(values.size()) + " values are no rows of " + std::to_string(features) + " features");
  }
  for (std::size_t row = 0; row < values.size(); row += features) {
    float* const x = values.data() + row;
    for (std::size_t j = 0; j < features; ++j) {
      x[j] = static_cast<float>((static_cast<double>(x[j]) - mean[j]) * inverse_deviation[j]);
    }
  }
}

SparseScaling SparseScaling::by_deviation(const FeatureMoments& moments) {
  return {inverse_deviations(moments.summary().variance)};
}

SparseScaling SparseScaling::by_largest(const FeatureMoments& moments) {
  SparseScaling scaling{moments.summary().largest};
  for (double& value : scaling.factor) value = value > 0 ? 1.0 / value : 1.0;
  return scaling;
}

SparseScaling SparseScaling::by_largest(std::span<const float> largest) {
  SparseScaling scaling;
  scaling.factor.reserve(largest.size());
  for (const float each : largest) scaling.factor.push_back(each > 0 ? 1.0 / static_cast<double>(each) : 1.0);
  return scaling;
}

void SparseScaling::apply(SparseTable& table) const {
  if (table.features > factor.size()) {
    fail(ErrorCode::invalid_argument, "a scaling of " + std::to_string(factor.size()) +
                                          " features applied to rows of " + std::to_string(table.features));
  }
  for (std::size_t k = 0; k < table.values.size(); ++k) {
    table.values[k] = static_cast<float>(static_cast<double>(table.values[k]) * factor[table.indices[k]]);
  }
}

}  // namespace trireme::data
