// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::platform {

using Json = nlohmann::json;

/// Strict JSON of at most 1 MiB and 64 levels; of duplicate keys the last counts, as for the platforms' own readers.
/// Errors: invalid_argument "NAME: …".
Json parse_json(std::string_view text, const std::string& name);

/// The same, or nothing where parse_json would refuse.
std::optional<Json> try_json(std::string_view text);

/// A value inside a document, with what to call it: "resourceconfig.json: hosts[2]".
class JsonPlace {
 public:
  JsonPlace(const Json& value, std::string name) : value_(&value), name_(std::move(name)) {}
  const Json& value() const { return *value_; }
  const std::string& name() const { return name_; }
  [[noreturn]] void refuse(const std::string& expected) const;

  /// The member of an object; nothing where it is absent or null. Errors: invalid_argument when this is no object.
  std::optional<JsonPlace> find(const std::string& key) const;
  JsonPlace at(const std::string& key) const;
  std::vector<JsonPlace> elements() const;
  /// Key and value of every member.
  std::vector<std::pair<std::string, JsonPlace>> members() const;
  /// A text that is not empty.
  std::string text() const;
  std::vector<std::string> texts() const;
  int number(int lowest, int highest) const;

 private:
  const Json* value_;
  std::string name_;
};

}  // namespace trireme::platform
