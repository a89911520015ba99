// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace trireme::comm::shared {

/// Operations of one communicator that a rank may have announced before the slowest rank has finished the first of them.
inline constexpr std::size_t slots = 8;
/// Contributions up to this size always travel inside the slot: copying them costs less than a second hand-off. More than
/// two ranks may outnumber the cores, and a hand-off is then a change of process.
constexpr std::size_t always_copied(std::size_t ranks) { return ranks <= 2 ? 1024 : 4096; }
/// Room in a slot.
inline constexpr std::size_t slot_payload = 8 * 1024;
/// Up to this size they do if no rank's memory can be mapped by the others. The lines of a slot are written by one side
/// alone and only read by the other, which makes the next store to them slow; two ranks that pass pieces through the
/// staging, where both write, are faster from 4 KiB on (4 KiB: 0.62 us instead of 0.77, 8 KiB: 0.88 instead of 1.34).
constexpr std::size_t copied_if_foreign(std::size_t ranks) { return ranks <= 2 ? 2048 : slot_payload; }
/// Memory the peers cannot map passes through the cell, in pieces of this size.
inline constexpr std::size_t piece_bytes = 128 * 1024;
/// Pieces under way at once.
inline constexpr std::size_t pieces = 4;
/// In place of an offset: the memory is not in the arena.
inline constexpr std::uint64_t foreign = ~std::uint64_t{0};

/// One announced operation. Written by its rank before `announced`, read by the peers after it, and left alone until
/// every rank has finished the operation.
struct Slot {
  static constexpr std::size_t words = 2;
  alignas(128) std::atomic<std::uint64_t> announced;  ///< number of the operation, plus 1
  std::uint64_t identity;                             ///< identity_of the operation
  std::array<std::uint64_t, 3> stamp;
  /// A payload of up to 16 bytes, in the line of the flag; or the offsets of input and output in the arena.
  std::array<std::uint64_t, words> word;
  /// Of what is too large for the slot: 2n + 1 if the memory of operation n, or its first piece in the staging, may be read
  /// from the announcement on; 2n + 2 if not, or if the rank has given it up.
  std::atomic<std::uint64_t> readable;
  alignas(64) std::array<std::byte, slot_payload> payload;
};

/// Which operation of which communicator: a cell is used again when its communicator has gone, and a rank that still asks
/// it for an operation must not take another's for it.
constexpr std::uint64_t identity_of(std::uint64_t key, std::uint64_t sequence) {
  return key * 0x9e3779b97f4a7c15u + sequence;
}

/// What one rank shows its peers of one communicator: in its arena, listed in the arena's directory. Every word has one
/// writer, that rank; counters only grow while the communicator lives. Zero bytes are a valid fresh cell.
struct Cell {
  alignas(128) std::atomic<std::uint64_t> finished;  ///< operations: the peers' memory is no longer looked at
  alignas(128) std::atomic<std::uint64_t> filled;    ///< pieces whose input may be read, if not since the announcement
  std::atomic<std::uint64_t> reduced;                ///< pieces of which this rank's part is done, everywhere
  alignas(128) std::atomic<std::uint64_t> spread;    ///< pieces whose part the group has (all_reduce by groups)
  alignas(128) std::array<Slot, slots> slot;
  alignas(128) std::array<std::array<std::byte, piece_bytes>, pieces> staging;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace trireme::comm::shared
