// SPDX-License-Identifier: Apache-2.0
#include "cli/train/recorder_dump.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>
#include <string_view>

namespace trireme::cli {
namespace {

constexpr std::size_t operations_shown = 3;

std::string on_one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// The operations of a recorder: it has each on a line of its own.
std::vector<std::string> operations_of(const std::string& recorder) {
  std::vector<std::string> operations;
  std::istringstream lines(recorder);
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.find("{\"sequence\"");
    const auto end = line.rfind('}');
    if (begin == std::string::npos || end == std::string::npos) continue;
    const bool last = line.find("}]}", begin) != std::string::npos;
    operations.push_back(line.substr(begin, (last ? line.find("}]}", begin) : end) + 1 - begin));
  }
  return operations;
}

std::string communicator_of(const std::string& recorder) {
  constexpr std::string_view key = "\"communicator\": ";
  const auto at = recorder.find(key);
  if (at == std::string::npos) return "?";
  const auto begin = at + key.size();
  return recorder.substr(begin, recorder.find_first_of(",}\n", begin) - begin);
}

/// Empty, or why not.
std::string write_file(const std::string& path, const std::string& text) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "we"), &std::fclose);
  if (!file) return std::strerror(errno);
  if (std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() || std::fflush(file.get()) != 0) {
    return std::strerror(errno);
  }
  return {};
}

}  // namespace

bool is_failure_of_world(const Error& error) {
  switch (error.code) {
    case ErrorCode::timeout:
    case ErrorCode::mismatch:
    case ErrorCode::peer_lost: return true;
    case ErrorCode::corrupt:
    case ErrorCode::system: return !error.operation.empty() || error.peer_rank >= 0;  // of a file otherwise
    default: return false;
  }
}

std::string recorders_line(int rank, const std::vector<std::string>& recorders) {
  std::string line = "{\"rank\": " + std::to_string(rank) + ", \"recorders\": [";
  for (std::size_t i = 0; i < recorders.size(); ++i) line += (i == 0 ? "" : ", ") + on_one_line(recorders[i]);
  return line + "]}\n";
}

std::string recorders_summary(int rank, const std::vector<std::string>& recorders) {
  std::string text;
  for (const std::string& recorder : recorders) {
    const std::vector<std::string> operations = operations_of(recorder);
    if (operations.empty()) continue;
    text += "trireme train: the last operations of rank " + std::to_string(rank) + " on communicator " +
            communicator_of(recorder) + ":";
    const std::size_t first = operations.size() - std::min(operations.size(), operations_shown);
    for (std::size_t i = first; i < operations.size(); ++i) text += (i == first ? " " : ", ") + operations[i];
    text += "\n";
  }
  return text;
}

std::string keep_recorders(int rank, const std::vector<std::string>& recorders,
                           const std::optional<std::string>& folder) {
  if (recorders.empty()) return {};  // no world was ever open
  if (!folder || folder->empty()) return recorders_summary(rank, recorders);
  const std::string path = *folder + "/flight-recorder-rank-" + std::to_string(rank) + ".json";
  const std::string problem = write_file(path, recorders_line(rank, recorders));
  if (problem.empty()) {
    return "trireme train: the flight recorder of rank " + std::to_string(rank) + " is in " + on_one_line(path) + "\n";
  }
  return "trireme train: cannot write the flight recorder to " + on_one_line(path) + ": " + problem +
         "; see TRIREME_RECORDER_DIR\n" + recorders_summary(rank, recorders);
}

}  // namespace trireme::cli
