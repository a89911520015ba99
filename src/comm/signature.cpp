// SPDX-License-Identifier: Apache-2.0
#include "comm/signature.hpp"

#include <bit>
#include <cstdint>
#include <cstdio>

namespace trireme::comm {
namespace {

constexpr bool reduces(plan::Collective collective) {
  return collective == plan::Collective::all_reduce || collective == plan::Collective::reduce_scatter;
}

}  // namespace

// word 0: collective 8 | input dtype 8 | output dtype 8 | kind 4 | order 4 | leaves 16 | root 12 | algorithm 4
transport::Stamp signature_of(const Request& request, int algorithm_override) {
  const bool reducing = reduces(request.collective);
  const bool rooted = request.collective == plan::Collective::broadcast;
  const DType dtype = request.collective == plan::Collective::send_recv && request.outgoing ? request.input.dtype
                                                                                            : request.output.dtype;
  std::uint64_t word = static_cast<std::uint64_t>(request.collective);
  word |= static_cast<std::uint64_t>(reducing ? request.input.dtype : dtype) << 8;
  word |= static_cast<std::uint64_t>(dtype) << 16;
  if (reducing) {
    word |= static_cast<std::uint64_t>(request.op.kind) << 24;
    word |= static_cast<std::uint64_t>(request.order) << 28;
    word |= static_cast<std::uint64_t>(request.leaves & 0xffff) << 32;
  }
  if (rooted) word |= static_cast<std::uint64_t>(request.root & 0xfff) << 48;
  if (request.collective == plan::Collective::all_reduce)
    word |= static_cast<std::uint64_t>(algorithm_override & 0xf) << 60;
  return {{word, request.count(), reducing ? std::bit_cast<std::uint64_t>(request.op.scalar) : 0}};
}

std::string describe(const transport::Stamp& stamp) {
  const std::uint64_t word = stamp.words[0];
  const auto field = [&](int shift, std::uint64_t mask) { return static_cast<unsigned>((word >> shift) & mask); };
  const unsigned collective = field(0, 0xff);
  const auto dtype = [](unsigned value) {
    return value < static_cast<unsigned>(dtype_count) ? std::string(name_of(static_cast<DType>(value)))
                                                      : std::string("?");
  };
  if (collective > static_cast<unsigned>(plan::Collective::send_recv)) return "an unknown operation";
  const auto which = static_cast<plan::Collective>(collective);
  std::string text(name_of(which));
  if (which == plan::Collective::barrier) return text + "()";
  const bool per_rank = which == plan::Collective::reduce_scatter || which == plan::Collective::all_gather;
  text += "(count " + std::to_string(stamp.words[1]) + (per_rank ? " per rank, " : ", ") + dtype(field(16, 0xff));
  if (reduces(which)) {
    if (field(8, 0xff) != field(16, 0xff)) text += " from " + dtype(field(8, 0xff));
    const unsigned kind = field(24, 0xf);
    text += ", ";
    text += kind <= static_cast<unsigned>(ReduceKind::average) ? name_of(static_cast<ReduceKind>(kind)) : "?";
    if (const double scalar = std::bit_cast<double>(stamp.words[2]); scalar != 0.0) {
      char number[40];
      std::snprintf(number, sizeof number, " over %.9g", scalar);
      text += number;
    }
    text += field(28, 0xf) == static_cast<unsigned>(ReductionOrder::fastest) ? ", fastest" : ", canonical";
    text += ", " + std::to_string(field(32, 0xffff)) + " leaves";
    if (const unsigned algorithm = field(60, 0xf); algorithm != 0 && algorithm <= 4) {
      text += ", algorithm ";
      text += plan::name_of(static_cast<plan::Algorithm>(algorithm - 1));
    }
  }
  if (which == plan::Collective::broadcast) text += ", root " + std::to_string(field(48, 0xfff));
  return text + ")";
}

}  // namespace trireme::comm
