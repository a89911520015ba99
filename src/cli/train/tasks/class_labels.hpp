// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <optional>
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

  void add(std::span<const float> labels);
  /// At most one more than `most`.
  const std::set<float>& labels() const { return labels_; }
  /// The first label that is no whole number, or too large to be told from its neighbours. It is refused by all ranks together,
  /// as the others would wait for the one that has it.
  std::optional<float> unfit() const { return unfit_; }

 private:
  std::set<float> labels_;
  std::optional<float> unfit_;
};

/// The labels of a classification in ascending order: the first is class 0. So -1 and 1, or 1 to 3, are classes like any.
class ClassLabels {
 public:
  /// The labels of all ranks' rows of the training set. Collective.
  /// Errors: invalid_argument, alike on all ranks, for a label that is no class, less than two labels, or too many.
  static ClassLabels agreed(Communicator& communicator, const LabelCollector& training);

  std::size_t size() const { return labels_.size(); }
  /// Of each class.
  const std::vector<float>& labels() const { return labels_; }
  /// Collective.
  /// Errors: invalid_argument, alike on all ranks, naming a label of a test set that is none of these.
  void check_covers(Communicator& communicator, const LabelCollector& test) const;
  /// Puts the class in every label's place.
  /// Errors: corrupt naming a label that is none of them: the data has changed.
  void replace(std::span<float> labels) const;

 private:
  bool has(float label) const;
  std::vector<float> labels_;
};

}  // namespace trireme::cli
