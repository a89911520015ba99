// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/conversion.hpp"

#include "layout/box_ranges.hpp"
#include "layout/conversion_path.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>

namespace trireme::layout {
namespace {

using Ranges = std::vector<Interval>;

/// Elements that two ranks hold both: where in the one's local tensor, and where in the other's.
struct Common {
  std::size_t here;
  std::size_t there;
  std::size_t size;
};

std::vector<Common> common(const Ranges& here, const Ranges& there) {
  std::vector<Common> result;
  std::size_t i = 0, j = 0, before_i = 0, before_j = 0;
  while (i < here.size() && j < there.size()) {
    const Interval a = here[i], b = there[j];
    const std::size_t begin = std::max(a.begin, b.begin), end = std::min(a.end, b.end);
    if (begin < end) result.push_back({before_i + (begin - a.begin), before_j + (begin - b.begin), end - begin});
    if (a.end <= b.end) {
      before_i += a.size();
      ++i;
    }
    if (b.end <= a.end) {
      before_j += b.size();
      ++j;
    }
  }
  return result;
}

std::size_t add_here(const std::vector<Common>& both, Ranges& ranges) {
  std::size_t size = 0;
  for (const Common& each : both) {
    append(ranges, {each.here, each.here + each.size});
    size += each.size;
  }
  return size;
}

std::size_t add_there(const std::vector<Common>& both, Ranges& ranges) {
  std::size_t size = 0;
  for (const Common& each : both) {
    append(ranges, {each.there, each.there + each.size});
    size += each.size;
  }
  return size;
}

bool is_cut(const Placement& placement) {
  return placement.kind == PlacementKind::sharded || placement.kind == PlacementKind::flat;
}

ConversionKind kind_of(const Placement& from, const Placement& to, int ranks) {
  if (ranks == 1 || from.kind == PlacementKind::replicated || to.kind == PlacementKind::partial)
    return ConversionKind::local;
  if (from.kind == PlacementKind::partial)
    return to.kind == PlacementKind::replicated ? ConversionKind::all_reduce : ConversionKind::reduce_scatter;
  return to.kind == PlacementKind::replicated ? ConversionKind::all_gather : ConversionKind::all_to_all;
}

/// From one uncut dimension to another, both of extents (of what the group holds together) that the ranks divide.
bool equal_blocks(const TensorLayout& before, const TensorLayout& after, std::size_t axis, int rank,
                  std::size_t ranks) {
  const auto& a = before.placements()[axis];
  const auto& b = after.placements()[axis];
  if (a.kind != PlacementKind::sharded || b.kind != PlacementKind::sharded || a.dimension == b.dimension) return false;
  if (!a.segments.empty() || !b.segments.empty()) return false;
  const auto together = before.with(axis, Placement::replicated()).local_shape(rank);
  const auto divides = [&](std::size_t d) { return static_cast<std::size_t>(together[d]) % ranks == 0; };
  return divides(a.dimension) && divides(b.dimension);
}

}  // namespace

std::string_view name_of(ConversionKind kind) noexcept {
  constexpr std::array<std::string_view, 5> names{"local", "all_gather", "all_reduce", "reduce_scatter", "all_to_all"};
  return names[static_cast<std::size_t>(kind)];
}

Conversion::Conversion(TensorLayout from, TensorLayout to) {
  const std::string name = "tensor '" + from.tensor() + "'";
  if (!std::equal(from.shape().begin(), from.shape().end(), to.shape().begin(), to.shape().end())) {
    fail(ErrorCode::invalid_argument,
         name + ": a conversion keeps the shape, but goes from " + to_text(from) + " to " + to_text(to));
  }
  if (!(from.mesh() == to.mesh())) {
    fail(ErrorCode::invalid_argument,
         name + ": a conversion keeps the axes, but goes from " + to_text(from.mesh()) + " to " + to_text(to.mesh()));
  }
  const auto path = cheapest_path(from, to);
  layouts_.push_back(std::move(from));
  for (const Move& move : path) {
    layouts_.push_back(layouts_.back().with(move.axis, move.placement));
    axes_.push_back(move.axis);
  }
}

ConversionKind Conversion::kind(std::size_t step) const {
  const std::size_t axis = axes_[step];
  return kind_of(layouts_[step].placements()[axis], layouts_[step + 1].placements()[axis],
                 from().mesh().axes()[axis].size);
}

ConversionStep Conversion::step(std::size_t index, int rank) const {
  const TensorLayout& before = layouts_[index];
  const TensorLayout& after = layouts_[index + 1];
  const Ranges held = before.ranges(rank), wanted = after.ranges(rank);
  ConversionStep step{.axis = axes_[index], .kind = kind(index)};
  step.input_count = total_size(held);
  step.output_count = total_size(wanted);

  const std::array<std::size_t, 1> along{step.axis};
  const auto group = from().mesh().group(rank, along);
  const std::size_t ranks = group.size();
  const auto own = static_cast<std::size_t>(from().mesh().coordinates(rank)[step.axis]);

  switch (step.kind) {
    case ConversionKind::local: {
      const auto& from_here = before.placements()[step.axis];
      step.fill_rest = ranks > 1 && after.placements()[step.axis].kind == PlacementKind::partial;
      if (step.fill_rest && !is_cut(from_here) && own != 0) break;
      const auto both = common(held, wanted);
      add_here(both, step.pack);
      add_there(both, step.unpack);
      break;
    }
    case ConversionKind::all_gather:
      append(step.pack, {0, step.input_count});
      for (const int other : group) step.counts.push_back(add_there(common(before.ranges(other), wanted), step.unpack));
      step.sent = (ranks - 1) * step.input_count;
      break;
    case ConversionKind::all_reduce: {
      append(step.pack, {0, step.input_count});
      append(step.unpack, {0, step.output_count});
      const Interval all{0, step.input_count};
      step.sent = 2 * all.size() - piece(all, ranks, own).size() - piece(all, ranks, (own + 1) % ranks).size();
      break;
    }
    case ConversionKind::reduce_scatter:
      for (const int other : group) step.counts.push_back(add_here(common(held, after.ranges(other)), step.pack));
      append(step.unpack, {0, step.output_count});
      step.sent = step.input_count - step.counts[own];
      break;
    case ConversionKind::all_to_all:
      step.equal_blocks = equal_blocks(before, after, step.axis, rank, ranks);
      for (std::size_t i = 0; i < ranks; ++i) {
        step.counts.push_back(add_here(common(held, after.ranges(group[i])), step.pack));
        step.receive_counts.push_back(add_there(common(before.ranges(group[i]), wanted), step.unpack));
        if (i != own) step.sent += step.counts[i];
      }
      break;
  }
  return step;
}

std::uint64_t Conversion::bytes_sent(int rank, std::size_t element_bytes) const {
  std::uint64_t elements = 0;
  for (std::size_t i = 0; i < steps(); ++i) elements += step(i, rank).sent;
  return elements * element_bytes;
}

std::string to_text(const Conversion& conversion) {
  std::string text;
  for (std::size_t i = 0; i < conversion.steps(); ++i) {
    const std::size_t axis = conversion.axis(i);
    text += (i == 0 ? "" : "; ") + conversion.from().mesh().axes()[axis].name + ": " +
            std::string(name_of(conversion.kind(i))) + " " + to_text(conversion.layout(i).placements()[axis]) + " -> " +
            to_text(conversion.layout(i + 1).placements()[axis]);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace trireme::layout
