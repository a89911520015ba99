// SPDX-License-Identifier: Apache-2.0
#include "platform/hyperparameters.hpp"

#include "platform/json_text.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::platform {
namespace {

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string folded(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

bool is_reserved(const std::string& name) {
  return name.rfind("sagemaker_", 0) == 0 || name == "_tuning_objective_metric" || name == "default_user_module_name";
}

void add_missing(const std::string& name, const std::string& value, Hyperparameters& given) {
  if (name.empty()) return;
  for (const auto& [other, ignored] : given) {
    if (folded(other) == folded(name)) return;
  }
  given.emplace(name, value);
}

void add_prefixed(const Environment& environment, std::string_view prefix, Hyperparameters& given) {
  for (const auto& [variable, value] : environment.variables()) {
    if (variable.rfind(prefix, 0) != 0) continue;
    std::string name = variable.substr(prefix.size());
    for (char& c : name) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    add_missing(name, decode_hyperparameter(value), given);
  }
}

}  // namespace

std::string decode_hyperparameter(const std::string& text) {
  const auto json = try_json(text);
  return dump(json ? *json : Json(text));
}

Hyperparameters parse_hyperparameters(const std::string& text, const std::string& name,
                                      std::optional<std::string>& metric) {
  const Json document = parse_json(text, name);
  Hyperparameters result;
  std::map<std::string, std::string> spellings;
  for (const auto& [key, place] : JsonPlace(document, name).members()) {
    const auto* value = place.value().get_ptr<const std::string*>();
    if (key == "_tuning_objective_metric" && value != nullptr) {
      const auto inner = try_json(*value);
      metric = inner && inner->is_string() ? inner->get<std::string>() : *value;
    }
    if (is_reserved(key)) continue;
    const auto [other, is_new] = spellings.emplace(folded(key), key);
    if (!is_new)
      fail(ErrorCode::invalid_argument, name + ": " + other->second + " and " + key + " are the same hyperparameter");
    result.emplace(key, value != nullptr ? decode_hyperparameter(*value) : dump(place.value()));
  }
  return result;
}

void add_from_environment(const Environment& environment, Hyperparameters& given) {
  add_prefixed(environment, "TRIREME_HP_", given);
  // Written by AWS's own images: a hint, so one that cannot be read is passed over.
  if (const auto document = try_json(environment.find("SM_HPS").value_or("")); document && document->is_object()) {
    for (const auto& [key, value] : document->items()) {
      if (!is_reserved(key)) add_missing(key, dump(value), given);
    }
  }
  add_prefixed(environment, "SM_HP_", given);
}

}  // namespace trireme::platform
