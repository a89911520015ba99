// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/manifest.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace trireme::checkpoint {

/// What one file of the journal says: an attempt begins, or a checkpoint is complete.
using Entry = std::variant<Attempt, Manifest>;

/// No manifest is longer: 64 MiB name a million slices.
inline constexpr std::uint64_t most_entry_bytes = std::uint64_t{64} << 20;
/// The version that is written; all from 1 on can be read.
inline constexpr std::uint32_t manifest_version = 1;

/// The bytes of a journal file: "TRIREME\n", the length and the XXH3 of a protobuf message, the message. Any change of any
/// byte shows.
/// Errors: invalid_argument when a text is not UTF-8, or the message is too long.
std::vector<std::byte> encode(const Entry& entry);

/// The inverse, of bytes from anywhere. What it returns holds together: names are relative and stay below their folder, slices
/// cover every tensor once and lie within their parts without overlap, there is a hash for every chunk, and all parts together
/// have at most 2^62 bytes. Fields that it does not know are passed over.
/// Cost:   memory in proportion to `bytes`, whatever they say.
/// Errors: corrupt, naming `where` and what is wrong; unsupported for a later version.
Entry decode(std::span<const std::byte> bytes, const std::string& where);

/// What one rank has of a checkpoint, for rank 0: a manifest whose tensors have that rank's slices only.
/// Errors of decode_share: corrupt.
std::vector<std::byte> encode_share(const Manifest& share);
Manifest decode_share(std::span<const std::byte> bytes);

}  // namespace trireme::checkpoint
