// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::cli {

/// What the text of a flag means.
enum class FlagType : unsigned char {
  integer,
  real,
  text,
  boolean,   ///< takes no value, or true or false behind "="
  choice,    ///< one of a few words
  size,      ///< bytes as in 64K or 25MiB
  duration,  ///< so many, or a time or a count with its unit: 10min, 100steps
};
/// "int", "float", "string", "boolean", "choice", "size", "duration".
std::string_view name_of(FlagType type);

/// One flag of a command: what it takes, what it is without being given, and what it means. Help, checks and descriptions for
/// other programs all come from it.
struct Flag {
  std::string names;  ///< "--steps", or "-n,--ranks"
  FlagType type = FlagType::text;
  std::string help;
  std::string least{};         ///< of numbers, as text; empty: none
  std::string most{};          ///< likewise
  bool excludes_most = false;  ///< `most` itself is not among them
  std::vector<std::string> choices{};
  /// What leaving it out means, as it would be typed; nothing: leaving it out is another thing than any value.
  std::optional<std::string> standard{};
  std::vector<std::pair<std::string, std::string>> standards_beside{};  ///< "--model gpt" -> "32": beside that flag
  bool is_tunable = false;                                              ///< worth a search for its best value

  /// "steps" of "--steps"; the last name of several, without dashes.
  std::string plain_name() const;

  Flag& tunable() { return is_tunable = true, *this; }
  Flag& is(FlagType given) { return type = given, *this; }
  Flag& one_of(std::vector<std::string> words);
  Flag& without_standard() { return standard.reset(), *this; }
  Flag& standard_is(std::string text) { return standard = std::move(text), *this; }
  Flag& standard_beside(std::string other, std::string text);
};

}  // namespace trireme::cli
