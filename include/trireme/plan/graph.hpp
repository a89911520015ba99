// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace trireme::plan {

/// What a plan achieves. Values are part of the wire format (signatures): never renumber.
enum class Collective : std::uint8_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  barrier,
  send_recv,
  reduce,      ///< the root gets the combination
  gather,      ///< the root gets everybody's block
  scatter,     ///< everybody gets its block of the root's
  all_to_all,  ///< block j of rank i becomes block i of rank j
};
inline constexpr int collective_count = 10;
std::string_view name_of(Collective collective) noexcept;

/// How it achieves it.
enum class Algorithm : std::uint8_t {
  direct,
  recursive_doubling,
  tree,
  ring,
  halving_doubling,  ///< reduce-scatter by halves, all-gather by doubles
  rooted,            ///< everybody and the root, one message each
  double_tree,       ///< two trees, each for half of the data; inner ranks of one are leaves of the other
  bruck,             ///< log2 P rounds at any P
};
inline constexpr int algorithm_count = 8;
std::string_view name_of(Algorithm algorithm) noexcept;
bool parse_algorithm(std::string_view name, Algorithm& algorithm) noexcept;

enum class StepKind : std::uint8_t {
  send,         ///< source goes to the peer
  recv,         ///< what the peer sent goes to destination
  recv_reduce,  ///< destination = op(destination, what the peer sent), which may start before all has arrived
  load_reduce,  ///< destination = sources combined in the order of `program`, all of them local; the destination may
                ///< be the memory of one of the sources, exactly
  copy,         ///< destination = source, converted to destination's dtype
};

/// Which memory. `input` and `output` are the caller's and may be the same bytes (in place); a scratch slot is the
/// operation's own.
enum class Space : std::uint8_t { input, output, scratch };

/// Which of the operation's three dtypes the bytes have: the contributions', the partial results', the results'.
enum class Role : std::uint8_t { input, partial, output };

struct Operand {
  Space space = Space::input;
  std::int16_t slot = 0;  ///< scratch: which slot
  Role role = Role::input;
  friend constexpr bool operator==(Operand, Operand) = default;
};

/// Half-open range of the plan's blocks.
struct BlockRange {
  int first = 0;
  int count = 1;
  friend constexpr bool operator==(BlockRange, BlockRange) = default;
};

/// One step of one rank. Steps are independent of the element count: they name blocks; `elements_of` gives the range.
/// The k-th send of rank a to rank b, counted in list order, meets the k-th recv or recv_reduce of b from a. Both name
/// the same blocks, but for all_to_all: block b at rank a, which becomes block a at rank b.
struct Step {
  StepKind kind = StepKind::send;
  int peer = -1;  ///< the other rank of send, recv, recv_reduce; -1 otherwise
  BlockRange blocks{};
  Operand source{};                     ///< send, copy
  Operand destination{};                ///< recv, recv_reduce, load_reduce, copy
  std::vector<Operand> sources{};       ///< load_reduce: what the tokens of `program` index
  std::vector<std::int16_t> program{};  ///< load_reduce: postfix over `sources`, -1 combines (layout::ReductionTree)
  Role wire = Role::input;              ///< send, recv, recv_reduce: the dtype on the wire
  bool finalize = false;                ///< reducing steps and copy: divide (average) and round to the output dtype
  std::vector<int> depends_on{};        ///< indices of earlier steps of this rank that must be complete first
  int paced_by = -1;                    ///< the one of them, if any, that is there for the order on the wire alone
};

/// A scratch slot holds the bytes of `blocks` in dtype `role`.
struct ScratchSlot {
  BlockRange blocks{};
  Role role = Role::partial;
};

/// Everything one rank does. A send is complete when its source may be overwritten; the peer may read the source in
/// place until then, so whatever overwrites it (in-place output included) depends on the send. all_to_all is the one
/// collective that cannot be in place: block b of the input is there not read before block b of the output is written.
struct RankPlan {
  std::vector<Step> steps;
  std::vector<ScratchSlot> scratch;
  BlockRange input_blocks;   ///< the blocks the input buffer spans; broadcast uses the output only. No blocks: not used
  BlockRange output_blocks;  ///< the blocks the output buffer spans. No blocks: not used
};

/// What a plan is made for.
struct Shape {
  Collective collective = Collective::all_reduce;
  int ranks = 1;
  int leaves = 1;  ///< leaves of the reduction tree; ranks <= leaves. With leaves == ranks every input is one leaf.
                   ///< Ignored where nothing is reduced
  int root = 0;    ///< broadcast, reduce, gather, scatter
  friend bool operator==(const Shape&, const Shape&) = default;
};

/// A plan as seen by `rank`. `loopable`, the same on all ranks: every step names one block, so the graph may be run
/// once per segment of the blocks (elements_of with segments > 1), several segments at a time.
struct Plan {
  Algorithm algorithm = Algorithm::direct;
  Shape shape;
  int blocks = 1;
  bool canonical = true;  ///< brackets of the contracted tree
  bool loopable = true;
  RankPlan mine;
};

/// The elements of `range` when `count` elements are cut into `blocks` blocks, and each range into `segments` segments.
/// Without segments, block b is [floor(b*count/blocks), floor((b+1)*count/blocks)).
constexpr layout::Interval elements_of(BlockRange range, std::size_t count, int blocks, int segments = 1,
                                       int segment = 0) {
  const auto parts = static_cast<std::size_t>(blocks);
  layout::Interval whole{layout::multiply_divide(count, static_cast<std::size_t>(range.first), parts),
                         layout::multiply_divide(count, static_cast<std::size_t>(range.first + range.count), parts)};
  return layout::piece(whole, static_cast<std::size_t>(segments), static_cast<std::size_t>(segment));
}

}  // namespace trireme::plan
