// SPDX-License-Identifier: Apache-2.0
#include "comm/signature.hpp"

#include <bit>
#include <cstdio>

namespace trireme::comm {

std::uint64_t digest_of(std::span<const std::size_t> blocks, std::uint64_t more) {
  std::uint64_t digest = 0xcbf29ce484222325u;  // FNV-1a, by words
  for (const std::size_t block : blocks) digest = (digest ^ block) * 0x100000001b3u;
  if (more != 0) digest = (digest ^ more) * 0x100000001b3u;
  return digest;
}

transport::Stamp of_message(transport::Stamp stamp, std::size_t elements) {
  const bool per_pair =
      (stamp.words[0] & 0xff & ~device_bit) == (static_cast<std::uint64_t>(plan::Collective::all_to_all) | uneven_bit);
  if (per_pair) stamp.words[2] = elements;
  return stamp;
}

bool same_call(const transport::Stamp& ours, const transport::Stamp& theirs) {
  return of_message(ours, 0) == of_message(theirs, 0);
}

std::string describe(const transport::Stamp& stamp) {
  const std::uint64_t word = stamp.words[0];
  const auto field = [&](int shift, std::uint64_t mask) { return static_cast<unsigned>((word >> shift) & mask); };
  const unsigned collective = field(0, 0x3f);
  const bool uneven = (word & uneven_bit) != 0;
  const auto dtype = [](unsigned value) {
    return value < static_cast<unsigned>(dtype_count) ? std::string(name_of(static_cast<DType>(value)))
                                                      : std::string("?");
  };
  if (collective >= static_cast<unsigned>(plan::collective_count)) return "an unknown operation";
  const auto which = static_cast<plan::Collective>(collective);
  std::string text(name_of(which));
  if (which == plan::Collective::barrier) return text + "()";
  const bool blocks = which == plan::Collective::reduce_scatter || which == plan::Collective::all_gather ||
                      which == plan::Collective::gather || which == plan::Collective::scatter ||
                      which == plan::Collective::all_to_all;
  if (uneven && which == plan::Collective::all_to_all) {
    text += "(uneven, " + std::to_string(stamp.words[2]) + " elements between the two, ";
  } else if (uneven) {
    char digest[20];
    std::snprintf(digest, sizeof digest, "%016llx", static_cast<unsigned long long>(stamp.words[2]));
    const bool divides = reduces(which) && field(24, 0xf) == static_cast<unsigned>(ReduceKind::average);
    text += "(uneven, count " + std::to_string(stamp.words[1]) + " in all, ";
    text += divides ? "digest of counts and divisor " : "counts' digest ";
    text += digest + std::string(", ");
  } else {
    text += "(count " + std::to_string(stamp.words[1]) + (blocks ? " per rank, " : ", ");
  }
  text += dtype(field(16, 0xff));
  if (reduces(which)) {
    if (field(8, 0xff) != field(16, 0xff)) text += " from " + dtype(field(8, 0xff));
    const unsigned kind = field(24, 0xf);
    text += ", ";
    text += kind < static_cast<unsigned>(reduce_kind_count) ? name_of(static_cast<ReduceKind>(kind)) : "?";
    if (const double scalar = std::bit_cast<double>(stamp.words[2]); scalar != 0.0 && !uneven) {
      char number[40];
      std::snprintf(number, sizeof number, " over %.9g", scalar);
      text += number;
    }
    text += field(28, 0x7) == static_cast<unsigned>(ReductionOrder::fastest) ? ", fastest" : ", canonical";
    text += ", " + std::to_string(field(32, 0xffff)) + " leaves";
    if (const unsigned algorithm = field(60, 0xf);
        algorithm != 0 && algorithm <= static_cast<unsigned>(plan::algorithm_count)) {
      text += ", algorithm ";
      text += plan::name_of(static_cast<plan::Algorithm>(algorithm - 1));
    }
  }
  if (has_root(which)) text += ", root " + std::to_string(field(48, 0xfff));
  if ((word & device_bit) != 0) text += ", device memory";
  if ((word & captured_bit) != 0) text += ", captured in a graph";
  return text + ")";
}

}  // namespace trireme::comm
