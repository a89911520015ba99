// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace trireme::platform {

/// Where a URI's file is on this machine: gs://bucket/path is ROOT/gcs/bucket/path where Cloud Storage is mounted at
/// ROOT/gcs, file:///path is /path, and what has no scheme is a path already. A slash at the end stays.
/// Errors: invalid_argument, asking for a local path, for every other scheme and where nothing is mounted.
std::string local_path(std::string_view uri, std::string_view root = {});

}  // namespace trireme::platform
