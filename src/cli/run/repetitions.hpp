// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::cli {

/// Finds refusals ("trireme train: unknown flag …") that another process has made in the same words: nobody needs them twice.
/// Other lines are none of its business, however alike.
class Repetitions {
 public:
  /// Whether `line`, without its prefix, is a refusal that another process than `who` has made before. `rank`: -1 of a process that
  /// is none.
  bool contains(const std::string& who, int rank, std::string_view line) {
    const auto colon = line.find(": ");
    if (!line.starts_with("trireme ") || colon == std::string_view::npos) return false;
    if (line.substr(0, colon).find(' ', std::string_view("trireme ").size()) != std::string_view::npos) return false;
    if (!first_speaker_ && rank >= 0) first_speaker_ = rank;
    const auto said = said_by_.find(line);
    if (said != said_by_.end()) return said->second != who;
    if (said_by_.size() < most_remembered) said_by_.emplace(line, who);
    return false;
  }
  /// The rank whose refusal came first; shown, unless another process said the same before.
  std::optional<int> first_speaker() const { return first_speaker_; }

 private:
  static constexpr std::size_t most_remembered = 64;
  std::map<std::string, std::string, std::less<>> said_by_;
  std::optional<int> first_speaker_;
};

}  // namespace trireme::cli
