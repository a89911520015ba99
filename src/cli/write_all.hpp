// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace trireme::cli {

/// Writes all of `text` to a descriptor, however many calls that takes. False, with errno, when it cannot.
bool write_all(int descriptor, std::string_view text);

}  // namespace trireme::cli
