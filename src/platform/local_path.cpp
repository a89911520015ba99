// SPDX-License-Identifier: Apache-2.0
#include "trireme/platform/local_path.hpp"

#include "trireme/base/error.hpp"

#include <filesystem>

namespace trireme::platform {
namespace {

/// Without what may be a secret: a user with a password, a signature behind "?".
std::string to_show(std::string_view uri) {
  uri = uri.substr(0, uri.find_first_of("?#"));
  const std::size_t host = uri.find("://") + 3;
  const std::size_t at = uri.substr(0, uri.find('/', host)).rfind('@');
  if (at == std::string_view::npos || at < host) return std::string(uri);
  return std::string(uri.substr(0, host)) + std::string(uri.substr(at + 1));
}

}  // namespace

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
    fail(ErrorCode::invalid_argument, to_show(uri) + ": Cloud Storage is not mounted at " + mount +
                                          "; mount it there (docker run -v DIR:/gcs), or give a local path");
  }
  fail(ErrorCode::invalid_argument,
       to_show(uri) + ": expected a local path, or gs://bucket/path where " + std::string(root) + "/gcs is mounted");
}

}  // namespace trireme::platform
