// SPDX-License-Identifier: Apache-2.0
#include "base/near_name.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <numeric>
#include <utility>

namespace trireme {
namespace {

/// Small letters, and dashes for underscores.
std::string folded(std::string_view name) {
  std::string text(name);
  for (char& each : text) each = each == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return text;
}

/// Letters to put in, to take out or to replace (Levenshtein).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string initials(std::string_view name) {
  std::string letters;
  bool begins = true;
  for (const char each : name) {
    if (begins) letters += each;
    begins = each == '-';
  }
  return letters;
}

}  // namespace

std::optional<std::string> near_name(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > 64) return std::nullopt;  // nobody's typing error
  const std::string wanted = folded(name);
  const std::size_t most = wanted.size() < 5 ? 1 : 2;
  std::optional<std::string> nearest;
  std::size_t least = most + 1;
  for (const std::string& each : known) {
    const std::size_t found = distance(wanted, each);
    if (found >= least) continue;
    least = found;
    nearest = each;
  }
  if (nearest || wanted.size() < 2) return nearest;
  const auto same =
      std::find_if(known.begin(), known.end(), [&](const std::string& each) { return initials(each) == wanted; });
  if (same != known.end()) nearest = *same;
  return nearest;
}

}  // namespace trireme
