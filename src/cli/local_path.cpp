// SPDX-License-Identifier: Apache-2.0
#include "cli/local_path.hpp"

#include "trireme/base/error.hpp"

#include <filesystem>
#include <system_error>

namespace trireme::cli {

std::string local_path(const std::string& path_or_uri, const std::string& root) {
  const std::size_t scheme = path_or_uri.find("://");
  if (scheme == std::string::npos || path_or_uri.find('/') < scheme) return path_or_uri;
  const std::string rest = path_or_uri.substr(scheme + 3);
  const std::string name = path_or_uri.substr(0, scheme);
  if (name == "file" && !rest.empty() && rest[0] == '/') return rest;
  std::error_code ignored;
  const std::string mount = root + "/gcs";
  if (name != "gs")
    fail(ErrorCode::invalid_argument, "'" + path_or_uri + "' is no local path: give the folder it is mounted at");
  if (!std::filesystem::is_directory(mount, ignored)) {
    fail(ErrorCode::invalid_argument,
         "'" + path_or_uri + "' cannot be reached: there is no " + mount + " here; give a local path");
  }
  return mount + "/" + rest;
}

}  // namespace trireme::cli
