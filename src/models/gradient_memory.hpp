// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"

#include <span>
#include <vector>

namespace trireme::models {

/// Classifier::use_gradients() on a model's list. Returns whether some gradient stays where it was, so that the model's own
/// memory must be kept.
bool use_gradient_memory(std::vector<Parameter>& own, std::span<const Parameter> given);

}  // namespace trireme::models
