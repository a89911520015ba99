// SPDX-License-Identifier: Apache-2.0
#include "cli/hyperparameters.hpp"

#include "base/near_name.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace trireme::cli {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  fail(ErrorCode::invalid_argument, "the hyperparameter '" + name + "' " + what);
}

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

json decoded(const std::string& name, const std::string& value) {
  json decoded = json::parse(value, nullptr, false);
  if (decoded.is_discarded()) refuse(name, "has no value that is JSON");
  return decoded;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string::npos ? text : text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
}

/// Numbers keep their spelling.
std::string text_of(const std::string& name, const json& value, const std::string& written) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) refuse(name, "is a JSON object: no flag takes one");
  if (!value.is_array()) return trimmed(written);
  std::string list;
  for (const json& each : value) {
    if (each.is_structured() || each.is_null()) refuse(name, "is a list of what are no single values");
    list += (list.empty() ? "" : ",") + (each.is_string() ? each.get<std::string>() : each.dump());
  }
  return list;
}

[[noreturn]] void refuse_unknown(const std::string& name, const std::vector<std::string>& known) {
  const auto near = near_name(name, known);
  std::string list;
  for (const std::string& each : known) list += (list.empty() ? "" : ", ") + each;
  refuse(name, "is unknown" + (near ? "; did you mean " + *near + "?" : std::string(";")) + " Known are: " + list);
}

}  // namespace

std::vector<std::string> hyperparameter_words(const Hyperparameters& hyperparameters) {
  std::vector<std::string> words;
  for (const auto& [name, value] : hyperparameters) {
    const json one = decoded(name, value);
    words.push_back("--" + name + "=" + (one.is_string() ? one.get<std::string>() : trimmed(value)));
  }
  return words;
}

std::vector<std::string> flag_words(const Hyperparameters& hyperparameters, const std::deque<Flag>& flags) {
  std::vector<std::string> known;
  for (const Flag& flag : flags) {
    if (flag.names != "--describe") known.push_back(flag.plain_name());  // asks for no training
  }
  std::sort(known.begin(), known.end());
  std::vector<std::string> words;
  std::set<std::string> seen;
  for (const auto& [name, value] : hyperparameters) {
    const std::string flag = with_dashes(name);
    if (!std::binary_search(known.begin(), known.end(), flag)) refuse_unknown(name, known);
    if (!seen.insert(flag).second) refuse(name, "is given twice, with _ and with -");
    const json one = decoded(name, value);
    if (one.is_null()) continue;
    const std::string text = text_of(name, one, value);
    if (text.empty()) {
      words.insert(words.end(), {"--" + flag, ""});
    } else {
      words.push_back("--" + flag + "=" + text);
    }
  }
  return words;
}

std::string blamed_hyperparameter(const std::string& message, const Hyperparameters& hyperparameters,
                                  const std::vector<std::string>& typed) {
  for (const auto& [name, value] : hyperparameters) {
    const std::string flag = "--" + with_dashes(name);
    const bool begins = message.rfind(flag, 0) == 0 && message.find_first_of(" :,=", 0) == flag.size();
    const bool is_typed = std::any_of(typed.begin(), typed.end(), [&](const std::string& word) {
      return with_dashes(word.substr(0, word.find('='))) == flag;
    });
    if (begins && !is_typed) return name;
  }
  return {};
}

}  // namespace trireme::cli
