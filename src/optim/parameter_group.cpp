// SPDX-License-Identifier: Apache-2.0
#include "trireme/optim/parameter_group.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme {
namespace {

/// Whether `text` fits `pattern`. The last star met is the only one that may have to take more: going back to an earlier
/// one could not find what this one does not.
bool fits(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace

bool ParameterGroup::has(std::string_view parameter) const {
  return std::any_of(parameters.begin(), parameters.end(),
                     [&](const std::string& pattern) { return fits(pattern, parameter); });
}

}  // namespace trireme
