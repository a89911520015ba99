// SPDX-License-Identifier: Apache-2.0
#include "cli/flag.hpp"

namespace trireme::cli {

std::string_view name_of(FlagType type) {
  switch (type) {
    case FlagType::integer: return "int";
    case FlagType::real: return "float";
    case FlagType::text: return "string";
    case FlagType::boolean: return "boolean";
    case FlagType::choice: return "choice";
    case FlagType::size: return "size";
    case FlagType::duration: return "duration";
  }
  return "string";
}

std::string Flag::plain_name() const {
  const std::string last = names.substr(names.rfind(',') + 1);
  const std::size_t first = last.find_first_not_of('-');
  return first == std::string::npos ? last : last.substr(first);
}

Flag& Flag::one_of(std::vector<std::string> words) {
  choices = std::move(words);
  return is(FlagType::choice);
}

Flag& Flag::standard_beside(std::string other, std::string text) {
  standards_beside.emplace_back(std::move(other), std::move(text));
  return *this;
}

}  // namespace trireme::cli
