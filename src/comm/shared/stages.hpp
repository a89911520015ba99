// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/shared/flags.hpp"

#include <cstdint>

namespace trireme::comm::shared {

/// How far one operation is that goes piece by piece. Pieces are numbered over all operations of the communicator.
struct Stages {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t to_fill = 0;  ///< the next piece of each stage
  std::uint64_t to_combine = 0;
  std::uint64_t to_take_out = 0;
  bool takes_out = false;  ///< the result comes out of this rank's own staging, when all have done their parts
  bool looked_at =
      false;  ///< the others look at this rank's own memory: it is free when they all have done their parts
  std::uint64_t ready_end = 0;  ///< pieces before it may be read since they were announced

  Stages() = default;
  Stages(std::uint64_t first_piece, std::uint64_t end_piece)
      : first(first_piece), end(end_piece), to_fill(first), to_combine(first), to_take_out(first), ready_end(first) {}

  /// Every rank has put its input of the pieces before `piece` in place before it announced the operation; so nobody
  /// waits for `filled` there. The same on all ranks.
  void ready_before(std::uint64_t piece) noexcept { ready_end = to_fill = piece; }
};

/// Whether all are done with what lay in the staging where `piece` is to lie.
template <class Atomics>
bool is_free(Flags<Atomics>& flags, std::uint64_t piece) {
  return piece < pieces || flags.all_reduced(piece - pieces);
}

/// Whether a rank may announce an operation that begins with `piece` as readable: nothing before it is under way here, or
/// its memory may be that operation's; and it lies in the arena, or its first piece, which the rank fills before it
/// announces, has room.
template <class Atomics>
bool may_allow(Flags<Atomics>& flags, bool nothing_before, bool in_arena, std::uint64_t piece) {
  return nothing_before && (in_arena || is_free(flags, piece));
}

/// Up to which piece nobody waits for `filled`, when every rank has announced the operation as readable.
inline std::uint64_t readable_until(const Stages& stages, bool any_staged) {
  return any_staged ? stages.first + 1 : stages.end;
}

/// Does whatever can be done of `stages` now: job.fill(k) puts this rank's input of piece k in place, job.combine(k) does
/// its part of piece k, job.take_out(k) brings the result home. True if anything was done.
/// A place in the staging is free again when every rank has done its part of the piece that was there, and its result
/// has been taken out.
template <class Atomics, class Job>
bool advance(Flags<Atomics>& flags, Stages& stages, Job&& job) {
  bool moved = false;
  for (bool again = true; again;) {
    again = false;
    const auto before = stages.to_fill - pieces;  // the piece in the same place; wraps below `pieces`
    const bool taken_out =
        !stages.takes_out || stages.to_fill < pieces || before < stages.first || before < stages.to_take_out;
    if (stages.to_fill < stages.end && taken_out && is_free(flags, stages.to_fill)) {
      job.fill(stages.to_fill);
      flags.fill(stages.to_fill++);
      job.tell();
      again = true;
    }
    if (stages.to_combine < stages.to_fill &&
        (stages.to_combine < stages.ready_end || flags.all_filled(stages.to_combine))) {
      job.combine(stages.to_combine);
      flags.reduce(stages.to_combine++);
      job.tell();
      again = true;
    }
    if (stages.to_take_out < stages.to_combine && (!stages.takes_out || flags.all_reduced(stages.to_take_out))) {
      if (stages.takes_out) job.take_out(stages.to_take_out);
      ++stages.to_take_out;
      again = true;
    }
    moved |= again;
  }
  return moved;
}

/// Whether nothing is left to do or to wait for.
template <class Atomics>
bool ended(Flags<Atomics>& flags, const Stages& stages) {
  return stages.to_take_out == stages.end &&
         (!stages.looked_at || stages.end == stages.first || flags.all_reduced(stages.end - 1));
}

}  // namespace trireme::comm::shared
