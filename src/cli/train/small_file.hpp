// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/file_system.hpp"

#include <string>
#include <string_view>

namespace trireme::cli {

/// Writes a file whole in place of what `folder` has of that name, if anything: under another name first.
/// Errors: those of the file system.
void replace_file(checkpoint::FileSystem& files, const std::string& folder, const std::string& name,
                  std::string_view text);

}  // namespace trireme::cli
