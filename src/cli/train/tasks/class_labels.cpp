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

void check(std::size_t count) {
  if (count > LabelCollector::most) {
    fail(ErrorCode::invalid_argument,
         "there are more than " + std::to_string(LabelCollector::most) +
             " different labels: if they are values to be predicted, use --loss squared or "
             "--model linear");
  }
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
    if (label != std::floor(label)) {
      fail(ErrorCode::invalid_argument, "the label " + text_of(label) +
                                            " is no class: labels to be predicted as values need --loss squared or "
                                            "--model linear");
    }
    labels_.insert(label);
  }
  check(labels_.size());
}

ClassLabels ClassLabels::agreed(Communicator& communicator, const LabelCollector& own) {
  const std::vector<double> mine(own.labels().begin(), own.labels().end());
  std::set<float> all;
  for (const std::vector<double>& theirs : gather_numbers(communicator, mine, "class labels")) {
    for (const double label : theirs) all.insert(static_cast<float>(label));
  }
  check(all.size());
  if (all.size() < 2) {
    fail(ErrorCode::invalid_argument, "all labels are " +
                                          (all.empty() ? std::string("missing") : text_of(*all.begin())) +
                                          ": there is nothing to tell apart");
  }
  ClassLabels labels;
  labels.labels_.assign(all.begin(), all.end());
  return labels;
}

void ClassLabels::replace(std::span<float> labels) const {
  for (float& label : labels) {
    const auto found = std::lower_bound(labels_.begin(), labels_.end(), label);
    if (found == labels_.end() || *found != label) {
      fail(ErrorCode::corrupt, "the label " + text_of(label) + " was not there before training: the file has changed");
    }
    label = static_cast<float>(found - labels_.begin());
  }
}

}  // namespace trireme::cli
