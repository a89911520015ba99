// SPDX-License-Identifier: Apache-2.0
#include "trireme/platform/environment.hpp"

#include "trireme/base/error.hpp"

#include <charconv>

namespace trireme::platform {

Environment Environment::of_process(const char* const* entries) {
  Variables variables;
  for (; entries != nullptr && *entries != nullptr; ++entries) {
    std::string_view entry(*entries);
    auto equals = entry.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;  // not a variable: getenv cannot find it either
    variables.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return Environment(std::move(variables));
}

std::optional<std::string> Environment::find(std::string_view name) const {
  auto found = variables_.find(name);
  if (found == variables_.end()) return std::nullopt;
  return found->second;
}

std::optional<int> Environment::integer(std::string_view name, int lowest, int highest) const {
  auto found = variables_.find(name);
  if (found == variables_.end()) return std::nullopt;
  const std::string& text = found->second;
  int value = 0;
  auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size() || value < lowest || value > highest) {
    fail(ErrorCode::invalid_argument, std::string(name) + "=" + text + ": expected a whole number from " +
                                          std::to_string(lowest) + " to " + std::to_string(highest));
  }
  return value;
}

void Environment::erase(std::string_view name) {
  auto found = variables_.find(name);
  if (found != variables_.end()) variables_.erase(found);
}

void Environment::erase_prefix(std::string_view prefix) {
  auto first = variables_.lower_bound(prefix);
  auto last = first;
  while (last != variables_.end() && std::string_view(last->first).substr(0, prefix.size()) == prefix) ++last;
  variables_.erase(first, last);
}

std::vector<std::string> Environment::entries() const {
  std::vector<std::string> entries;
  entries.reserve(variables_.size());
  for (const auto& [name, value] : variables_) entries.push_back(name + "=" + value);
  return entries;
}

}  // namespace trireme::platform
