// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/plan/options.hpp"
#include "cli/plan/search.hpp"

#include <string>

namespace trireme::cli {

/// What was asked, the table, and what was left out; where nothing fits, what comes closest and what it lacks.
std::string plan_text(const PlanOptions& options, const PlanSearch& found);
/// {"setting": {…}, "plans": […], "left_out": {"reason": count}, "closest": {…}}; the keys are a contract. Bytes and seconds.
std::string plan_json(const PlanOptions& options, const PlanSearch& found);

}  // namespace trireme::cli
