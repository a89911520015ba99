// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/data_files.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>
#include <system_error>

namespace trireme::cli {

std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return {path};
  std::vector<std::filesystem::path> files;
  for (auto entry = std::filesystem::directory_iterator(path, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.front() == '.' || name.front() == '_') continue;
    if (entry->symlink_status(error).type() == std::filesystem::file_type::regular) files.push_back(entry->path());
  }
  if (error) fail(ErrorCode::invalid_argument, path.string() + ": " + error.message());
  if (files.empty())
    fail(ErrorCode::invalid_argument,
         path.string() + " holds no regular file (names that begin with . or _ are passed over)");
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::filesystem::path> files_of(const DatasetSpec& dataset) {
  return dataset.files.empty() ? files_of(std::filesystem::path(dataset.path)) : dataset.files;
}

}  // namespace trireme::cli
