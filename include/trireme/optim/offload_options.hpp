// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"

#include <cstdint>
#include <string>

namespace trireme {

/// Where an optimizer keeps its state instead of memory.
struct OffloadOptions {
  std::string folder{};  ///< on a disk of this host, with room for the state; not one in memory (tmpfs)
  /// How much state is in memory at a time, at least one block of each of a parameter's states. Rules that see whole tensors
  /// (Adafactor, Muon) need a tensor's whole state.
  Bytes buffer{std::uint64_t{4} << 20};
};

/// What offloaded state takes.
struct OffloadUse {
  std::uint64_t file_bytes = 0;
  std::uint64_t memory_bytes = 0;  ///< the buffer: no more than OffloadOptions says
};

}  // namespace trireme
