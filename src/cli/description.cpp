// SPDX-License-Identifier: Apache-2.0
#include "cli/description.hpp"

#include <nlohmann/json.hpp>

namespace trireme::cli {
namespace {

using Json = nlohmann::ordered_json;

/// A text that was printed from a number, or that is typed in place of one.
Json number_of(const std::string& text) {
  if (text.empty()) return nullptr;
  return Json::parse(text);
}

Json value_of(FlagType type, const std::string& text) {
  switch (type) {
    case FlagType::integer:
    case FlagType::real: return number_of(text);
    case FlagType::boolean: return text == "true";
    default: return text;
  }
}

Json flag_json(const Flag& flag) {
  Json json{{"name", flag.plain_name()},
            {"flag", flag.names.substr(flag.names.rfind(',') + 1)},
            {"type", name_of(flag.type)}};
  if (flag.type == FlagType::integer || flag.type == FlagType::real) {
    json["range"] = {{"min", number_of(flag.least)}, {"max", number_of(flag.most)}};
    if (flag.excludes_most) json["range"]["excludes_max"] = true;
  }
  if (!flag.choices.empty()) json["choices"] = flag.choices;
  json["default"] = flag.standard ? value_of(flag.type, *flag.standard) : Json(nullptr);
  for (const auto& [other, text] : flag.standards_beside) json["defaults"][other] = value_of(flag.type, text);
  json["tunable"] = flag.is_tunable;
  json["help"] = flag.help;
  return json;
}

}  // namespace

std::string description_of(const std::string& command, const std::deque<Flag>& flags) {
  Json json{{"name", command}, {"flags", Json::array()}};
  for (const Flag& flag : flags) json["flags"].push_back(flag_json(flag));
  return json.dump();
}

}  // namespace trireme::cli
