// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace trireme::tracking {

/// RFC 4648, with padding.
std::string base64(std::string_view bytes);

}  // namespace trireme::tracking
