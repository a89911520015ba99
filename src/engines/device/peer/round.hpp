// SPDX-License-Identifier: Apache-2.0
// One launch of the peer tier: what a rank stages, whom it meets, what it makes of the others' slots. Plain values, so that they
// travel as arguments of a kernel.
#pragma once

#include "kernels/reduce/grouped_program.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/op.hpp"
#include "trireme/device/runtime.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::engines::device::peer {

inline constexpr unsigned most_ranks = 32;
inline constexpr unsigned most_pieces = 64;  ///< of a group of tensors that one launch handles
inline constexpr unsigned most_blocks = 128;
inline constexpr unsigned deepest_stack = 8;  ///< of a postfix program over most_ranks ranks

/// What a rank tells a peer when it has staged: block by block, in one of two places in turn.
struct Post {
  std::uint32_t sequence;  ///< of the meeting; written last
  std::uint32_t spare;
  std::uint32_t stamp[6];  ///< what the rank believes the operation to be
};

/// Where things are in the window of a rank, in bytes from its beginning: alike on all ranks.
struct WindowLayout {
  std::uint32_t ranks = 1;
  std::uint32_t blocks = 1;  ///< of a launch at most
  std::uint64_t slot_bytes = 0;

  static constexpr std::uint64_t counters = 0;    ///< meetings so far; blocks of the launch that have ended
  static constexpr std::uint64_t finished = 256;  ///< per peer: its meetings whose slots here it has read
  static constexpr std::uint64_t posts = 512;     ///< [2][blocks][ranks]
  constexpr std::uint64_t slots() const {
    return (posts + 2 * std::uint64_t{blocks} * ranks * sizeof(Post) + 255) / 256 * 256;
  }
  constexpr std::uint64_t bytes() const { return slots() + 2 * slot_bytes; }
};

/// In host memory that the device reaches: how the host ends what waits in vain, and what kernels have found.
struct Report {
  enum State : std::uint32_t { fine, mismatch, late };
  std::uint32_t state;
  std::uint32_t operation;  ///< mismatch: whose kernel has found it (Round::operation)
  std::uint32_t peer;       ///< mismatch: who means another call
  std::uint32_t lacking;    ///< ranks, as bits, that a meeting waits for
  std::uint32_t stamp[6];   ///< mismatch: the call that it means
};
struct Control {
  std::uint32_t abort;  ///< not 0: kernels leave, and write nothing more
  Report reports[2];    ///< of operations of the host's time, of captured ones
};

/// A range of a logical vector, in elements, and where it lies in a slot, in bytes.
struct Span {
  std::uint64_t begin;
  std::uint64_t count;
  std::uint64_t slot;
  std::uint32_t peer;  ///< whose slot
};

/// One tensor of a group: which elements of the logical vector it holds.
struct Piece {
  std::byte* data;
  std::uint64_t begin;
  std::uint64_t count;
};

/// A launch either does all there is to a round or, of a group of many tensors, a part of it: only stages some tensors, or
/// only brings results to some.
struct Round {
  WindowLayout layout{};
  std::uint32_t self = 0;
  std::byte* windows[most_ranks] = {};  ///< of each rank, as this one reaches it
  Control* control = nullptr;
  std::uint32_t channel = 0;
  std::uint32_t operation = 0;  ///< its number, as reports name it
  std::uint32_t stamp[6] = {};
  std::uint64_t patience_ns = 0;  ///< of a meeting; 0: the host's
  bool tells_end = false;         ///< peers learn when their slots have been read: they are of other processes

  bool stages = true;
  bool meets = true;
  bool brings = true;
  bool second = false;  ///< two meetings: results of the first are staged for the second

  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::uint32_t pieces = 0;  ///< not 0: input and output are these
  Piece piece[most_pieces] = {};

  std::uint32_t staged = 0;
  Span stage[most_ranks] = {};
  std::uint32_t brought = 0;  ///< from slots to the output, as they are; with `second` of the second meeting
  Span bring[most_ranks] = {};

  bool reduces = false;
  Span reduce{};  ///< the same place in every rank's slot; `begin`: where in the output, unless `second`
  ReduceKind kind = ReduceKind::sum;
  std::uint32_t steps = 0;  ///< of the program
  std::int8_t program[2 * most_ranks] = {};
  bool balanced = false;             ///< the program is that of the balanced tree over 2, 4 or 8 ranks
  kernels::GroupedProgram groups{};  ///< the program once more, for sums; no groups: it does not fall into them
  double divisor = 1.0;
  bool scales = false;        ///< a pre-multiplied sum: staged is the product, in the accumulator type
  bool narrow_input = false;  ///< scales: the input is of the output's type
  double factor = 1.0;
};

/// Gives one launch of `blocks` blocks to the queue. `staged` is the type in slots, the output's or its accumulator; for what does
/// not reduce both are u8, and all counts bytes.
void launch_round(trireme::device::Queue queue, const Round& round, DType staged, DType output, unsigned blocks);

/// Appends the kernels of this folder, for Runtime::load().
void peer_kernels(std::vector<const trireme::device::KernelEntry*>& kernels);

/// Threads of a block, and bytes of a slot that are worth one.
inline constexpr unsigned round_threads = 512;
inline constexpr std::uint64_t bytes_per_block = std::uint64_t{round_threads} * 16 * 2;

}  // namespace trireme::engines::device::peer
