// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace trireme::platform {

/// All of a small file; nothing when there is none. Errors: invalid_argument naming it for more than 1 MiB, or when it
/// cannot be read.
std::optional<std::string> read_text_file(const std::string& path);

}  // namespace trireme::platform
