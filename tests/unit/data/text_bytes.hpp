// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "unit/data/idx_bytes.hpp"

#include <string>

namespace trireme::testing {

/// A text as bytes.
inline ByteVector text_bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace trireme::testing
