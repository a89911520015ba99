// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace trireme::checkpoint {

/// Whether all of it is UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text);

/// A name from outside as part of a message, between single quotes: a beginning of it when it is long, with '?' for what is
/// no printable ASCII and no UTF-8. One line, at most 163 bytes.
std::string shown(std::string_view text);

}  // namespace trireme::checkpoint
