// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace trireme::comm {

// Messages of collectives and of sends and receives are numbered apart: each has its half of the communicator ids.
inline constexpr std::uint32_t transfer_bit = 0x80000000u;
constexpr std::uint32_t collective_space(std::uint32_t communicator) { return communicator; }
constexpr std::uint32_t transfer_space(std::uint32_t communicator) { return communicator | transfer_bit; }

/// The kind of a note that carries an operation's signature (transport::Endpoint::send_note).
inline constexpr std::uint8_t signature_note = 1;

}  // namespace trireme::comm
