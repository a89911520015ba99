// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/manifest.hpp"

#include <string>

namespace trireme::checkpoint {

/// Whether a manifest from outside holds together: see decode().
/// Errors: corrupt naming `where` and the tensor or the file.
void check_manifest(const Manifest& manifest, const std::string& where);
/// Whether an attempt from outside has texts that are UTF-8.
/// Errors: corrupt naming `where`.
void check_attempt(const Attempt& attempt, const std::string& where);

/// Whether a file name is one below a folder: relative, without "..", "." or empty components, backslashes or control
/// characters, and at most 512 bytes.
bool is_below(const std::string& name);

}  // namespace trireme::checkpoint
