// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"

#include <span>
#include <vector>

namespace trireme::models {

/// Lets the gradients of `own` lie where those of `given` do. True when none of them lies where it did: the memory they
/// had is then not used any more.
/// Errors: invalid_argument, naming the parameter, unless both lists are of the same names, counts and dtypes and what is
///         given is memory of the same kind (host, or that device) aligned to 64 bytes; then nothing is changed.
bool adopt_gradients(std::vector<Parameter>& own, std::span<const Parameter> given);

}  // namespace trireme::models
