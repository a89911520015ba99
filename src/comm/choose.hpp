// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/explanation.hpp"
#include "trireme/comm/request.hpp"
#include "trireme/plan/plans.hpp"

#include <optional>
#include <string>

namespace trireme::comm {

/// What a choice depends on, the same on all ranks.
struct ChoiceInput {
  plan::Shape shape;
  ReductionOrder order = ReductionOrder::canonical;
  std::size_t count = 0;
  plan::ElementBytes element{};
  bool crosses_network = false;
  std::optional<plan::Algorithm> forced{};  ///< all_reduce only
};

/// The algorithm of least predicted time (alpha-beta-gamma) among those defined; a forced one if defined.
/// Errors: invalid_argument naming the defined ones, when the forced one is not defined or not canonical.
plan::Algorithm choose(const ChoiceInput& input);

/// One line: the choice, its predicted time, and those of the others.
Explanation explain_choice(const ChoiceInput& input);

}  // namespace trireme::comm
