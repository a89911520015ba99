// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::platform {

/// The environment variables of a process as a value: name -> value. A variable set to the empty text is present.
class Environment {
 public:
  using Variables = std::map<std::string, std::string, std::less<>>;

  Environment() = default;
  explicit Environment(Variables variables) : variables_(std::move(variables)) {}
  Environment(std::initializer_list<Variables::value_type> variables) : variables_(variables) {}

  /// A copy of "NAME=value" entries ended by a null pointer, such as ::environ; of duplicates the first counts, as for
  /// getenv(3). Only `world` and the programs call it: everything below is handed the value.
  static Environment of_process(const char* const* entries);

  bool has(std::string_view name) const { return variables_.find(name) != variables_.end(); }
  /// The value, or nothing when the variable is absent.
  std::optional<std::string> find(std::string_view name) const;

  /// The value as a decimal integer in [lowest, highest], or nothing when the variable is absent.
  /// Errors: invalid_argument naming the variable and its value when it is anything else (the empty text too).
  std::optional<int> integer(std::string_view name, int lowest, int highest) const;

  void set(std::string name, std::string value) { variables_.insert_or_assign(std::move(name), std::move(value)); }
  void erase(std::string_view name);
  /// Removes every variable whose name starts with `prefix`.
  void erase_prefix(std::string_view prefix);

  const Variables& variables() const { return variables_; }
  /// "NAME=value" texts, sorted by name: what execve(2) takes.
  std::vector<std::string> entries() const;

 private:
  Variables variables_;
};

}  // namespace trireme::platform
