// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::cli {

/// The path by which `path_or_uri` is read and written here: a path as it is, file:///a as /a, and gs://bucket/a as
/// `root`/gcs/bucket/a where that mount exists.
/// Errors: invalid_argument for any other URI, and for gs:// without the mount, asking for a local path.
std::string local_path(const std::string& path_or_uri, const std::string& root);

}  // namespace trireme::cli
