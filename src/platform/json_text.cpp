// SPDX-License-Identifier: Apache-2.0
#include "platform/json_text.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

namespace trireme::platform {
namespace {

constexpr std::size_t most_bytes = 1u << 20;
constexpr int most_levels = 64;

/// Whether brackets outside of texts never nest deeper than is allowed.
bool is_shallow(std::string_view text) {
  int level = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++level > most_levels) return false;
    } else if (c == ']' || c == '}') {
      --level;
    }
  }
  return true;
}

/// The first key that stands twice in one object. Of two values the parser keeps one, and nobody would know which.
std::optional<std::string> key_given_twice(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  std::optional<std::string> twice;
  const auto look = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second && !twice)
      twice = parsed.get<std::string>();
    return true;
  };
  const Json read = Json::parse(text, look);
  return twice;
}

/// What was read is not repeated, as it may hold anything; but a name is.
std::string shown(const std::string& key) {
  const bool is_name = !key.empty() && key.size() <= 64 && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
  });
  return is_name ? "the key '" + key + "'" : "a key";
}

}  // namespace

std::optional<Json> try_json(std::string_view text) {
  // A byte order mark is no JSON, though the parser would pass over it.
  if (text.size() > most_bytes || !is_shallow(text) || text.substr(0, 1) == "\xef") return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

Json parse_json(std::string_view text, const std::string& name) {
  if (text.size() > most_bytes) fail(ErrorCode::invalid_argument, name + ": more than 1 MiB of JSON");
  if (!is_shallow(text)) fail(ErrorCode::invalid_argument, name + ": JSON nested deeper than 64 levels");
  if (auto json = try_json(text)) {
    if (const auto twice = key_given_twice(text))
      fail(ErrorCode::invalid_argument, name + ": " + shown(*twice) + " is given twice");
    return std::move(*json);
  }
  // What was read is not repeated: it may hold anything.
  std::size_t byte = 0;
  try {
    const Json read = Json::parse(text);
  } catch (const Json::parse_error& error) {
    byte = error.byte;
  } catch (const Json::exception&) {
  }
  fail(ErrorCode::invalid_argument,
       name + ": not valid JSON" +
           (text.empty()         ? ", it is empty"
            : byte > text.size() ? ", it ends too early"
                                 : ", byte " + std::to_string(byte) + " of " + std::to_string(text.size())));
}

void JsonPlace::refuse(const std::string& expected) const {
  fail(ErrorCode::invalid_argument, name_ + ": expected " + expected + ", found " + value_->type_name());
}

std::optional<JsonPlace> JsonPlace::find(const std::string& key) const {
  if (!value_->is_object()) refuse("an object");
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  const bool whole = name_.find(": ") == std::string::npos;
  return JsonPlace(*found, name_ + (whole ? ": " : ".") + key);
}

JsonPlace JsonPlace::at(const std::string& key) const {
  if (auto member = find(key)) return *member;
  fail(ErrorCode::invalid_argument, name_ + ": " + key + " is missing");
}

std::vector<JsonPlace> JsonPlace::elements() const {
  if (!value_->is_array()) refuse("a list");
  std::vector<JsonPlace> list;
  for (const Json& element : *value_) list.emplace_back(element, name_ + "[" + std::to_string(list.size()) + "]");
  return list;
}

std::vector<std::pair<std::string, JsonPlace>> JsonPlace::members() const {
  if (!value_->is_object()) refuse("an object");
  std::vector<std::pair<std::string, JsonPlace>> list;
  const bool whole = name_.find(": ") == std::string::npos;
  for (const auto& [key, value] : value_->items())
    list.emplace_back(key, JsonPlace(value, name_ + (whole ? ": " : ".") + key));
  return list;
}

std::string JsonPlace::text() const {
  const auto* text = value_->get_ptr<const std::string*>();
  if (text == nullptr) refuse("a text");
  if (text->empty()) fail(ErrorCode::invalid_argument, name_ + ": expected a text that is not empty");
  return *text;
}

std::vector<std::string> JsonPlace::texts() const {
  std::vector<std::string> list;
  for (const JsonPlace& element : elements()) list.push_back(element.text());
  return list;
}

int JsonPlace::number(int lowest, int highest) const {
  const std::string expected = "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest);
  if (!value_->is_number_integer()) refuse(expected);
  const bool large = value_->is_number_unsigned() && value_->get<std::uint64_t>() > static_cast<std::uint64_t>(highest);
  if (large || value_->get<std::int64_t>() < lowest || value_->get<std::int64_t>() > highest)
    fail(ErrorCode::invalid_argument, name_ + "=" + value_->dump() + ": expected " + expected);
  return value_->get<int>();
}

}  // namespace trireme::platform
