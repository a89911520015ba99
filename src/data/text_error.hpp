// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/record_buffer.hpp"

#include <string>
#include <string_view>

namespace trireme::data {

/// "FILE, line 12", or "FILE, row 7 (counted from 0)" where the line is not known. `at` is a place in the record.
std::string where(const std::string& name, const Record& record, const char* at);

/// What a file holds, as one printable line in quotes, cut after some 40 characters.
std::string excerpt(std::string_view text);

}  // namespace trireme::data
