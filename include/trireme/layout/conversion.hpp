// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"
#include "trireme/layout/tensor_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::layout {

/// How the ranks of one axis go from one placement to another.
enum class ConversionKind : unsigned char {
  local,           ///< copies within a rank
  all_gather,      ///< sharded or flat -> replicated
  all_reduce,      ///< partial -> replicated
  reduce_scatter,  ///< partial -> sharded or flat
  all_to_all,      ///< from one way of cutting to another
};
std::string_view name_of(ConversionKind kind) noexcept;

/// One step as one rank takes it, in elements. What is to be given to the collective, on the communicator of the axis, are
/// the ranges `pack` of the local tensor before, one after the other; what comes out belongs at the ranges `unpack` of
/// the local tensor behind it, likewise.
struct ConversionStep {
  std::size_t axis = 0;
  ConversionKind kind = ConversionKind::local;
  std::size_t input_count = 0;   ///< of the local tensor before
  std::size_t output_count = 0;  ///< and behind
  std::vector<Interval> pack{};
  std::vector<Interval> unpack{};
  /// reduce_scatter: the parts of the packed tensor; all_gather: what each rank gives; all_to_all: what goes to each.
  std::vector<std::size_t> counts{};
  std::vector<std::size_t> receive_counts{};  ///< all_to_all: what comes from each
  /// all_to_all: every rank of the group sends and receives blocks of one size, and all of them know it.
  bool equal_blocks = false;
  bool fill_rest = false;  ///< what `unpack` leaves out becomes the identity of the sum, -0
  /// Elements that this rank sends: 0; all_gather: (P-1) times its own; all_reduce: 2n - b(r) - b(r+1), b(i) the i-th of P
  /// pieces of n; reduce_scatter: n - its own; all_to_all: all but those for itself.
  std::size_t sent = 0;
};

/// How a tensor goes from one layout to another, on the same axes: a sequence of steps, each of which changes the placement on
/// one axis, for the ranks that differ on it alone. Anything but partial goes to partial too: the first rank of the axis
/// has the value, or each its piece, and -0 is added to it.
///
/// The steps are the sequence in which the rank that sends most sends least, counted by whole steps as if pieces were
/// equal, then the shortest: from, to and replicated are tried on every axis. An axis that an inner one builds on (it cuts the same dimension, or
/// it cuts flat what the outer one has left) moves only while the inner one does not cut.
/// Order:  sums over several axes are nested, the last axis first. Values are rounded to the tensor's type between them.
/// Cost:   of planning: 3^A placements for A axes; of a step: the runs of consecutive elements of the axis' ranks.
/// Errors: invalid_argument when the layouts are of different shapes or axes. A value; pure.
class Conversion {
 public:
  Conversion(TensorLayout from, TensorLayout to);

  const TensorLayout& from() const { return layouts_.front(); }
  const TensorLayout& to() const { return layouts_.back(); }
  std::size_t steps() const { return axes_.size(); }
  /// The layout before step `step`; of steps(): the last one.
  const TensorLayout& layout(std::size_t step) const { return layouts_[step]; }
  std::size_t axis(std::size_t step) const { return axes_[step]; }
  ConversionKind kind(std::size_t step) const;
  /// Of `rank` of the layouts' mesh.
  ConversionStep step(std::size_t step, int rank) const;

  /// What `rank` sends in all, in bytes of payload, by the algorithms in which every rank sends each other what it shall
  /// have (plan's `direct`): the sum of ConversionStep::sent.
  std::uint64_t bytes_sent(int rank, std::size_t element_bytes) const;

 private:
  std::vector<TensorLayout> layouts_;
  std::vector<std::size_t> axes_;
};

/// "data: all_gather sharded(0) -> replicated; tensor: local replicated -> sharded(1)"; "nothing".
std::string to_text(const Conversion& conversion);

}  // namespace trireme::layout
