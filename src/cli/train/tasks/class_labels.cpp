// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/class_labels.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

namespace trireme::cli {
namespace {

std::string text_of(float label) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(label));
  return text;
}

constexpr float most_exact = 16777216.0f;  // from here on not every whole number is an f32

std::vector<double> numbers_of(const std::set<float>& labels) { return {labels.begin(), labels.end()}; }

/// The labels of all ranks.
/// Errors: invalid_argument, alike on all ranks, for one that is no class.
std::set<float> gathered(Communicator& communicator, const LabelCollector& own) {
  std::vector<double> unfit;
  if (own.unfit()) unfit.push_back(static_cast<double>(*own.unfit()));
  for (const auto& theirs : gather_numbers(communicator, unfit, "labels that are no classes")) {
    if (theirs.empty()) continue;
    fail(ErrorCode::invalid_argument,
         "the label " + text_of(static_cast<float>(theirs[0])) +
             " is no class: classes are whole numbers below 2^24; labels to be predicted as "
             "values need --loss squared or --model linear");
  }
  std::set<float> all;
  for (const auto& theirs : gather_numbers(communicator, numbers_of(own.labels()), "class labels")) {
    for (const double label : theirs) all.insert(static_cast<float>(label));
  }
  return all;
}

}  // namespace

std::vector<std::vector<double>> gather_numbers(Communicator& communicator, std::span<const double> own,
                                                std::string_view label) {
  std::vector<std::vector<double>> lists;
  for (const std::vector<std::byte>& theirs : communicator.all_gather_bytes(std::as_bytes(own), {.label = label})) {
    std::vector<double> list(theirs.size() / sizeof(double));
    if (!list.empty()) std::memcpy(list.data(), theirs.data(), theirs.size());
    lists.push_back(std::move(list));
  }
  return lists;
}

void LabelCollector::add(std::span<const float> labels) {
  for (const float label : labels) {
    const bool fits = label == std::floor(label) && std::fabs(label) < most_exact;
    if (!fits && !unfit_) unfit_ = label;
    if (fits && labels_.size() <= most) labels_.insert(label);
  }
}

ClassLabels ClassLabels::agreed(Communicator& communicator, const LabelCollector& training) {
  const std::set<float> all = gathered(communicator, training);
  if (all.size() > LabelCollector::most) {
    fail(ErrorCode::invalid_argument,
         "there are more than " + std::to_string(LabelCollector::most) +
             " different labels: if they are values to be predicted, use --loss squared or "
             "--model linear");
  }
  if (all.size() < 2) {
    fail(ErrorCode::invalid_argument, "all labels are " +
                                          (all.empty() ? std::string("missing") : text_of(*all.begin())) +
                                          ": there is nothing to tell apart");
  }
  ClassLabels labels;
  labels.labels_.assign(all.begin(), all.end());
  return labels;
}

bool ClassLabels::has(float label) const { return std::binary_search(labels_.begin(), labels_.end(), label); }

void ClassLabels::check_covers(Communicator& communicator, const LabelCollector& test) const {
  for (const float label : gathered(communicator, test)) {
    if (has(label)) continue;
    fail(ErrorCode::invalid_argument,
         "--test-dataset has the label " + text_of(label) + ", which no row of --dataset has");
  }
}

void ClassLabels::replace(std::span<float> labels) const {
  for (float& label : labels) {
    if (!has(label)) {
      fail(ErrorCode::corrupt, "the label " + text_of(label) + " was not there before training: the file has changed");
    }
    label = static_cast<float>(std::lower_bound(labels_.begin(), labels_.end(), label) - labels_.begin());
  }
}

}  // namespace trireme::cli
