// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/dropout_mask.hpp"
#include "trireme/models/sample_place.hpp"

#include <cstddef>
#include <cstdint>

namespace trireme::models {

using data::check_dropout;

/// The masks of a call's samples: site is of a Gpt a GptSite, of a perceptron the hidden layer, counted from 0.
class Dropout : public data::DropoutMask {
 public:
  Dropout() = default;
  Dropout(double probability, std::uint64_t seed, const SamplePlace& place)
      : DropoutMask(probability, seed, place.step, place.first_row) {}

  /// values[i] = values[i]/(1 - probability): of derivatives by what was masked behind relu. Masked outputs say by
  /// themselves which units count, being above 0 just where relu let something pass and the mask kept it; relu_backward()
  /// of them is the rest of the way, and no mask is computed again.
  template <class T>
  void amplify(T* values, std::size_t count) const noexcept;
};

}  // namespace trireme::models
