// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/request.hpp"
#include "trireme/transport/endpoint.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace trireme::comm {

inline constexpr std::uint64_t uneven_bit = 0x80;  ///< of the byte that names the collective
inline constexpr std::uint64_t device_bit = 0x40;  ///< likewise: on device memory, which does not meet the host's

/// Of the order's bits: recorded into a graph, which does not meet what runs at once. Set by the engine that records.
inline constexpr std::uint64_t captured_bit = std::uint64_t{1} << 31;

/// Of the block sizes, which every rank gives alike, and of a word more unless that is 0; in an uneven all_to_all each pair
/// has its own.
std::uint64_t digest_of(std::span<const std::size_t> blocks, std::uint64_t more = 0);

/// What a rank believes an operation to be, packed into the stamp that every message carries. Equal on all ranks, or
/// the ranks have called different things. `algorithm_override` is TRIREME_ALGORITHM's value plus one, 0 if unset.
/// In words of 64 bits:
/// 0: collective 6 | device 1 | uneven 1 | input dtype 8 | output dtype 8 | kind 4 | order 3, captured 1 | leaves 16 | root 12 | algorithm 4
/// 1: the count
/// 2: the scalar of the operation, or a digest of the block sizes (and of the scalar, if there is one), or of a message of
///    an uneven all_to_all how many elements go between the two
/// Here, so that a call makes it in registers.
inline transport::Stamp signature_of(const Request& request, int algorithm_override) {
  const bool reducing = reduces(request.collective);
  const DType dtype = request.collective == plan::Collective::send_recv && request.outgoing ? request.input.dtype
                                                                                            : request.output.dtype;
  std::uint64_t word = static_cast<std::uint64_t>(request.collective);
  if (request.uneven) word |= uneven_bit;
  word |= static_cast<std::uint64_t>(reducing ? request.input.dtype : dtype) << 8;
  word |= static_cast<std::uint64_t>(dtype) << 16;
  if (reducing) {
    word |= static_cast<std::uint64_t>(request.op.kind) << 24;
    word |= static_cast<std::uint64_t>(request.order) << 28;
    word |= static_cast<std::uint64_t>(request.leaves & 0xffff) << 32;
  }
  if (has_root(request.collective)) word |= static_cast<std::uint64_t>(request.root & 0xfff) << 48;
  if (request.collective == plan::Collective::all_reduce)
    word |= static_cast<std::uint64_t>(algorithm_override & 0xf) << 60;
  std::uint64_t last = 0;
  // The factor of a pre-multiplied sum is each rank's own.
  if (reducing && request.op.kind != ReduceKind::premultiplied_sum)
    last = std::bit_cast<std::uint64_t>(request.op.scalar);
  if (request.uneven && request.collective != plan::Collective::all_to_all)
    last = digest_of(request.output_blocks, last);
  return {{word, request.count(), last}};
}

/// The stamp of one message of `elements` elements of the operation: of an uneven all_to_all it tells how many go between
/// the two, which no other pair need agree on.
transport::Stamp of_message(transport::Stamp stamp, std::size_t elements);

/// Whether two stamps, of operations or of messages, are of one call.
bool same_call(const transport::Stamp& ours, const transport::Stamp& theirs);

/// "all_reduce(count 1024, f32, sum, canonical)": a signature in words. Any bits are legal: they come from the wire.
std::string describe(const transport::Stamp& stamp);

}  // namespace trireme::comm
