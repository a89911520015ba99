// SPDX-License-Identifier: Apache-2.0
#include "trireme/platform/local_path.hpp"

#include "trireme/base/error.hpp"

#include <filesystem>

namespace trireme::platform {

std::string local_path(std::string_view uri, std::string_view root) {
  const auto colon = uri.find("://");
  if (colon == std::string_view::npos || uri.find('/') < colon) return std::string(uri);
  const std::string_view scheme = uri.substr(0, colon), rest = uri.substr(colon + 3);
  if (scheme == "file" && !rest.empty() && rest.front() == '/') return std::string(rest);
  if (scheme == "gs" && !rest.empty() && rest.front() != '/') {
    while (!root.empty() && root.back() == '/') root.remove_suffix(1);
    const std::string mount = std::string(root) + "/gcs";
    std::error_code ignored;
    if (std::filesystem::is_directory(mount, ignored)) return mount + "/" + std::string(rest);
    fail(ErrorCode::invalid_argument,
         std::string(uri) + ": Cloud Storage is not mounted at " + mount + "; give a local path");
  }
  fail(ErrorCode::invalid_argument, std::string(uri) + ": expected a local path, or gs://bucket/path where " +
                                        std::string(root) + "/gcs is mounted");
}

}  // namespace trireme::platform
