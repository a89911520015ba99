// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <set>
#include <span>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What every rank has, in rank order: lists of any length. Collective.
std::vector<std::vector<double>> gather_numbers(Communicator& communicator, std::span<const double> own,
                                                std::string_view label);

/// The different labels of a rank's rows.
class LabelCollector {
 public:
  /// Classes a model may have.
  static constexpr std::size_t most = std::size_t{1} << 16;

  /// Errors: invalid_argument for a label that is no whole number, or one too many.
  void add(std::span<const float> labels);
  const std::set<float>& labels() const { return labels_; }

 private:
  std::set<float> labels_;
};

/// The labels of a classification in ascending order: the first is class 0. So -1 and 1, or 1 to 3, are classes like any.
class ClassLabels {
 public:
  /// The labels of all ranks. Collective.
  /// Errors: invalid_argument when there are less than two, or too many.
  static ClassLabels agreed(Communicator& communicator, const LabelCollector& own);

  std::size_t size() const { return labels_.size(); }
  /// Puts the class in every label's place.
  /// Errors: corrupt naming a label that is none of them: the data has changed.
  void replace(std::span<float> labels) const;

 private:
  std::vector<float> labels_;
};

}  // namespace trireme::cli
