// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace trireme::net {

/// 'text' fit for one line of a message: bytes that are not printable ASCII become \xNN, what is beyond 128 bytes is
/// cut. For everything that came from outside: it may hold line breaks or terminal sequences.
std::string quoted(std::string_view text);

}  // namespace trireme::net
