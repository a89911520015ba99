// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace trireme::cli {

/// What a result is held against, measured in the same run on the same memory.
enum class BoundKind : unsigned char {
  none,      ///< one rank: nothing has to move
  copy,      ///< one host: every rank at once copies a vector of that size; each must read and write as much
  exchange,  ///< a network: every rank at once sends a vector of that size to the next and receives one
};

/// What is measured, in words.
std::string_view describe(BoundKind kind);

/// The kind for this world: `reached_by_network` says whether the own rank reaches any other that way. Collective.
BoundKind agree_on_bound(Communicator& communicator, bool reached_by_network);

/// Seconds, the median over `iterations` of the slowest rank's. Collective.
double measure_bound(Communicator& communicator, BoundKind kind, std::span<std::byte> from, std::span<std::byte> to,
                     std::uint64_t iterations);

}  // namespace trireme::cli
