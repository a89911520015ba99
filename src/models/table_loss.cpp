// SPDX-License-Identifier: Apache-2.0
#include "models/table_loss.hpp"

#include "kernels/token_cross_entropy/token_cross_entropy.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <sstream>
#include <string>

namespace trireme::models {
namespace {

/// Whole, from 0 to classes - 1; a NaN is not.
bool is_class(float label, std::size_t classes) {
  return label >= 0.0f && label < static_cast<float>(classes) &&
         static_cast<float>(static_cast<std::uint32_t>(label)) == label;
}

}  // namespace

void TableLoss::check(std::span<const float> labels, std::size_t rows) const {
  if (labels.size() != rows) {
    fail(ErrorCode::invalid_argument,
         std::to_string(labels.size()) + " labels are not those of " + std::to_string(rows) + " rows");
  }
  if (kind_ == TabularLoss::squared) return;
  const auto bad = std::find_if(labels.begin(), labels.end(), [&](float label) { return !is_class(label, outputs_); });
  if (bad != labels.end()) {
    std::ostringstream text;
    text << "label " << *bad << " of row " << bad - labels.begin() << " is no class from 0 to " << outputs_ - 1;
    fail(ErrorCode::invalid_argument, text.str());
  }
}

void TableLoss::make_room(std::size_t rows) {
  if (kind_ == TabularLoss::cross_entropy) targets_.ensure(rows);
}

template <class T>
void TableLoss::operator()(std::span<const float> labels, const T* outputs, double* losses, T* gradient) {
  if (kind_ == TabularLoss::squared) {
    for (std::size_t row = 0; row < labels.size(); ++row) {
      const double difference = static_cast<double>(outputs[row]) - static_cast<double>(labels[row]);
      losses[row] = 0.5 * difference * difference;
      if (gradient != nullptr) gradient[row] = static_cast<T>(difference / static_cast<double>(labels.size()));
    }
    return;
  }
  make_room(labels.size());
  for (std::size_t row = 0; row < labels.size(); ++row) targets_.data()[row] = static_cast<std::uint16_t>(labels[row]);
  kernels::token_cross_entropy<T>({.logits = outputs,
                                   .targets = targets_.data(),
                                   .rows = labels.size(),
                                   .classes = outputs_,
                                   .losses = losses,
                                   .gradient = gradient});
}

template <class T>
std::size_t TableLoss::correct(std::span<const float> labels, const T* outputs) const {
  if (kind_ == TabularLoss::squared) return 0;
  std::size_t count = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const T* logits = outputs + row * outputs_;
    const auto greatest = std::max_element(logits, logits + outputs_) - logits;
    count += static_cast<std::size_t>(greatest) == static_cast<std::size_t>(labels[row]) ? 1u : 0u;
  }
  return count;
}

template void TableLoss::operator()(std::span<const float>, const float*, double*, float*);
template void TableLoss::operator()(std::span<const float>, const double*, double*, double*);
template std::size_t TableLoss::correct(std::span<const float>, const float*) const;
template std::size_t TableLoss::correct(std::span<const float>, const double*) const;

}  // namespace trireme::models
