// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"

#include <map>
#include <optional>
#include <string>

namespace trireme::platform {

/// Name as given -> value as one line of JSON.
using Hyperparameters = std::map<std::string, std::string>;

/// A text as one line of JSON: the JSON it holds, decoded once; a text that holds none, as a JSON text. So AWS's training
/// toolkit reads every value (NaN and the infinities, which are no JSON, stay texts).
std::string decode_hyperparameter(const std::string& text);

/// A map of names to values, as SageMaker writes it. Names the platform keeps for itself are left out: those that begin
/// with "sagemaker_", "default_user_module_name", and "_tuning_objective_metric", whose value goes to `metric`.
/// Errors: invalid_argument for no JSON, no object, and names that differ only in - and _.
Hyperparameters parse_hyperparameters(const std::string& text, const std::string& name,
                                      std::optional<std::string>& metric);

/// Those of the environment that `given` lacks, - and _ being equal: TRIREME_HP_<NAME>, then SM_HPS, then SM_HP_<NAME>;
/// a name that comes as part of a variable's is in lower case.
void add_from_environment(const Environment& environment, Hyperparameters& given);

}  // namespace trireme::platform
