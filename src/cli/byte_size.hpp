// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"

#include <string>
#include <string_view>

namespace trireme::cli {

/// A size as people type it: "65536", "64K", "25MiB", "1G". K, M and G count in steps of 1024, as nccl-tests does; the
/// Ki, Mi, Gi spellings mean the same; a B at the end is optional after a binary prefix.
/// Errors: invalid_argument naming `flag` for anything else: a sign, a fraction, KB or MB (of which nobody knows whether
///         they are decimal), more than 2^63 bytes.
Bytes parse_byte_size(std::string_view text, std::string_view flag);

}  // namespace trireme::cli
