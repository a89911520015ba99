// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/schedule_text.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace trireme::pipeline {
namespace {

constexpr int most_digits = 6;
constexpr std::streamoff most_file_bytes = std::streamoff{64} << 20;

constexpr char letter_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::forward: return 'F';
    case ActionKind::backward: return 'B';
    case ActionKind::backward_input: return 'I';
    case ActionKind::backward_weight: return 'W';
  }
  return '?';
}

class ScheduleReader {
 public:
  ScheduleReader(std::string_view text, const std::string& source) : text_(text), source_(source) {}

  Schedule read() {
    while (at_ < text_.size()) {
      read_line();
      ++line_;
    }
    for (const auto& actions : schedule_.ranks) {
      for (const Action& action : actions) {
        schedule_.stages = std::max(schedule_.stages, action.stage + 1);
        schedule_.micro_batches = std::max(schedule_.micro_batches, action.micro_batch + 1);
      }
    }
    return std::move(schedule_);
  }

 private:
  [[noreturn]] void expected(const std::string& what) const {
    fail(ErrorCode::invalid_argument, source_ + ", line " + std::to_string(line_) + ", column " +
                                          std::to_string(at_ - begin_ + 1) + ": expected " + what);
  }

  bool at_end_of_line() const { return at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '#'; }
  /// Past what separates; true if it was anything.
  bool skip(std::string_view separators) {
    const std::size_t before = at_;
    while (at_ < text_.size() && separators.find(text_[at_]) != std::string_view::npos) ++at_;
    return at_ != before;
  }

  void read_line() {
    begin_ = at_;
    skip(" \t\r");
    bool is_rank = false;
    if (text_.substr(at_, 4) == "rank") {
      is_rank = true;
      read_head();
    }
    constexpr std::string_view between = " \t\r,";
    std::vector<Action> actions;
    bool separated = true;
    while (skip(between) || separated) {
      if (at_end_of_line()) break;
      actions.push_back(read_action());
      separated = at_end_of_line();
    }
    if (!at_end_of_line()) expected("a blank or a comma");
    at_ = std::min(text_.find('\n', at_), text_.size());
    if (at_ < text_.size()) ++at_;
    if (is_rank || !actions.empty()) schedule_.ranks.push_back(std::move(actions));
  }

  void read_head() {
    at_ += 4;
    if (!skip(" \t")) expected("a blank after 'rank'");
    const std::string next = std::to_string(schedule_.ranks.size());
    const std::size_t number_at = at_;
    if (read_number("the number of a rank") != static_cast<int>(schedule_.ranks.size())) {
      at_ = number_at;
      expected("rank " + next + ": ranks stand in order");
    }
    skip(" \t");
    if (at_ == text_.size() || text_[at_] != ':') expected("':' after the number of the rank");
    ++at_;
  }

  int read_number(const char* what) {
    const std::size_t first = at_;
    int value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (at_ - first == most_digits) expected(std::string(what) + " below 1000000");
      value = 10 * value + (text_[at_] - '0');
      ++at_;
    }
    if (at_ == first) expected(what);
    return value;
  }

  Action read_action() {
    Action action;
    action.stage = read_number("an action, as 2F5: the number of a stage");
    const char letter = at_ < text_.size() ? text_[at_] : '\n';
    switch (letter) {
      case 'F': action.kind = ActionKind::forward; break;
      case 'B': action.kind = ActionKind::backward; break;
      case 'I': action.kind = ActionKind::backward_input; break;
      case 'W': action.kind = ActionKind::backward_weight; break;
      default: expected("F, B, I or W after the number of the stage");
    }
    ++at_;
    action.micro_batch = read_number("the number of a micro-batch");
    return action;
  }

  std::string_view text_;
  const std::string& source_;
  std::size_t at_ = 0;
  std::size_t begin_ = 0;  ///< of the line
  int line_ = 1;
  Schedule schedule_;
};

}  // namespace

std::string to_string(const Action& action) {
  std::string text = std::to_string(action.stage);
  text += letter_of(action.kind);
  return text + std::to_string(action.micro_batch);
}

std::string to_text(const Schedule& schedule) {
  std::string text;
  for (std::size_t rank = 0; rank < schedule.ranks.size(); ++rank) {
    text += "rank " + std::to_string(rank) + ":";
    for (const Action& action : schedule.ranks[rank]) text += " " + to_string(action);
    text += "\n";
  }
  return text;
}

Schedule parse_schedule(std::string_view text, const std::string& source) {
  return ScheduleReader(text, source).read();
}

Schedule read_schedule(const std::string& path) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none))
    fail(ErrorCode::invalid_argument, "the pipeline schedule " + path + " is a folder: give a file");
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail_system("opening the pipeline schedule " + path, errno);
  const std::streamoff bytes = file.tellg();
  if (bytes < 0) fail(ErrorCode::system, "the pipeline schedule " + path + " is not a file that can be read");
  if (bytes > most_file_bytes)
    fail(ErrorCode::invalid_argument, "the pipeline schedule " + path + " has more than 64 MiB");
  file.seekg(0);
  std::string text(static_cast<std::size_t>(bytes), '\0');
  if (bytes > 0 && !file.read(text.data(), bytes))
    fail(ErrorCode::system, "the pipeline schedule " + path + " cannot be read");
  return parse_schedule(text, path);
}

}  // namespace trireme::pipeline
