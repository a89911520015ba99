// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/tensor_layout.hpp"

#include "layout/box_ranges.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace trireme::layout {
namespace {

[[noreturn]] void refuse(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

std::vector<std::size_t> extents_of(std::span<const std::int64_t> shape) { return {shape.begin(), shape.end()}; }

/// What is left of `runs` for rank `index` of `ranks`, each of `segments` (sizes) being cut by itself.
std::vector<Interval> cut(std::span<const Interval> runs, std::span<const std::size_t> segments, std::size_t ranks,
                          std::size_t index) {
  std::vector<Interval> result;
  std::size_t begin = 0;
  std::vector<Interval> inside;
  for (const std::size_t size : segments) {
    inside.clear();
    for (const Interval run : runs) {
      const std::size_t first = std::clamp(run.begin, begin, begin + size);
      append(inside, {first, std::clamp(run.end, first, begin + size)});
    }
    for (const Interval each : part_of(inside, piece({0, total_size(inside)}, ranks, index))) append(result, each);
    begin += size;
  }
  return result;
}

std::size_t product_of(const std::string& tensor, std::span<const std::int64_t> shape) {
  std::size_t count = 1;
  bool overflow = false, empty = false;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] < 0) {
      refuse("tensor '" + tensor + "': dimension " + std::to_string(d) + " has an extent of " +
             std::to_string(shape[d]));
    }
    empty |= shape[d] == 0;
    overflow |= __builtin_mul_overflow(count, static_cast<std::size_t>(shape[d]), &count);
  }
  if (empty) return 0;
  if (overflow) refuse("tensor '" + tensor + "' has more elements than can be counted");
  return count;
}

std::string text_of_shape(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t d = 0; d < shape.size(); ++d) text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
  return text + "]";
}

}  // namespace

std::string to_text(const Placement& placement) {
  switch (placement.kind) {
    case PlacementKind::replicated: return "replicated";
    case PlacementKind::partial: return "partial";
    case PlacementKind::flat: return "flat(" + std::to_string(placement.block) + ")";
    case PlacementKind::sharded: break;
  }
  std::string text = "sharded(" + std::to_string(placement.dimension);
  for (std::size_t i = 0; i < placement.segments.size(); ++i)
    text += (i == 0 ? "; " : "+") + std::to_string(placement.segments[i]);
  return text + ")";
}

/// Of every dimension the indices that are there; once it has been cut flat, which of the elements so described.
struct TensorLayout::Local {
  std::vector<std::vector<Interval>> runs;
  std::optional<Interval> flat{};

  std::size_t count_before() const {
    std::size_t count = 1;
    for (const auto& each : runs) count *= total_size(each);
    return count;
  }
  Interval elements() const { return flat.value_or(Interval{0, count_before()}); }
};

TensorLayout::TensorLayout(std::string tensor, std::span<const std::int64_t> shape, const MeshShape& mesh,
                           std::vector<Placement> placements)
    : tensor_(std::move(tensor)), shape_(shape.begin(), shape.end()), mesh_(mesh), placements_(std::move(placements)) {
  count_ = product_of(tensor_, shape_);
  check();
}

TensorLayout::TensorLayout(std::string tensor, std::span<const std::int64_t> shape, int ranks, Placement placement)
    : TensorLayout(std::move(tensor), shape, MeshShape({{"ranks", ranks}}, ranks),
                   std::vector<Placement>{std::move(placement)}) {}

void TensorLayout::check() const {
  const std::string name = "tensor '" + tensor_ + "'";
  if (placements_.size() != mesh_.axes().size()) {
    refuse(name + ": " + std::to_string(placements_.size()) + " placements for the " +
           std::to_string(mesh_.axes().size()) + " axes " + to_text(mesh_) + "; give one for each");
  }
  const std::string* flat = nullptr;
  for (std::size_t i = 0; i < placements_.size(); ++i) {
    const auto& axis = mesh_.axes()[i].name;
    const auto& placement = placements_[i];
    if (placement.kind == PlacementKind::flat) {
      if (placement.block == 0) refuse(name + ": axis '" + axis + "' cuts it flat in blocks of 0 elements");
      if (flat == nullptr) flat = &axis;
    }
    if (placement.kind != PlacementKind::sharded) continue;
    const std::string what = name + ": axis '" + axis + "' shards dimension " + std::to_string(placement.dimension);
    if (placement.dimension >= shape_.size()) {
      refuse(what + " of a tensor of " + std::to_string(shape_.size()) + " dimensions");
    }
    if (flat != nullptr) {
      refuse(what + ", but axis '" + *flat + "' before it has cut the tensor flat; put '" + axis + "' first");
    }
    const auto extent = static_cast<std::size_t>(shape_[placement.dimension]);
    std::size_t sum = 0;
    bool overflow = false;
    for (const std::size_t size : placement.segments) overflow |= __builtin_add_overflow(sum, size, &sum);
    if (!placement.segments.empty() && (overflow || sum != extent)) {
      refuse(what + " by segments that add up to " + (overflow ? "too much" : std::to_string(sum)) +
             ", but its extent is " + std::to_string(extent));
    }
  }
}

TensorLayout TensorLayout::with(std::size_t axis, Placement placement) const {
  auto changed = placements_;
  changed[axis] = std::move(placement);
  return {tensor_, shape_, mesh_, std::move(changed)};
}

bool TensorLayout::is_flat() const {
  return std::any_of(placements_.begin(), placements_.end(),
                     [](const Placement& each) { return each.kind == PlacementKind::flat; });
}

bool TensorLayout::is_partial() const {
  return std::any_of(placements_.begin(), placements_.end(),
                     [](const Placement& each) { return each.kind == PlacementKind::partial; });
}

TensorLayout::Local TensorLayout::local(int rank) const {
  if (rank < 0 || rank >= ranks()) {
    refuse("tensor '" + tensor_ + "': " + std::to_string(rank) + " is not a rank of the " + std::to_string(ranks()) +
           " of its layout");
  }
  Local result;
  for (const std::int64_t extent : shape_) {
    result.runs.emplace_back();
    append(result.runs.back(), {0, static_cast<std::size_t>(extent)});
  }
  const auto place = mesh_.coordinates(rank);
  for (std::size_t i = 0; i < placements_.size(); ++i) {
    const auto& placement = placements_[i];
    const int size = mesh_.axes()[i].size;
    if (placement.kind == PlacementKind::flat) {
      const Interval before = result.elements();
      const Interval shard = FlatShards(before.size(), size, placement.block).shard(place[i]);
      result.flat = Interval{before.begin + shard.begin, before.begin + shard.end};
    } else if (placement.kind == PlacementKind::sharded) {
      auto& runs = result.runs[placement.dimension];
      const std::size_t whole = static_cast<std::size_t>(shape_[placement.dimension]);
      const std::span<const std::size_t> segments =
          placement.segments.empty() ? std::span(&whole, 1) : std::span(placement.segments);
      runs = cut(runs, segments, static_cast<std::size_t>(size), static_cast<std::size_t>(place[i]));
    }
  }
  return result;
}

std::vector<std::int64_t> TensorLayout::local_shape(int rank) const {
  const Local own = local(rank);
  if (own.flat) return {static_cast<std::int64_t>(own.flat->size())};
  std::vector<std::int64_t> shape;
  for (const auto& each : own.runs) shape.push_back(static_cast<std::int64_t>(total_size(each)));
  return shape;
}

std::size_t TensorLayout::local_count(int rank) const { return local(rank).elements().size(); }

std::vector<Interval> TensorLayout::ranges(int rank) const {
  const Local own = local(rank);
  return box_ranges(extents_of(shape_), own.runs, own.elements());
}

std::vector<std::int64_t> TensorLayout::padded_shape() const {
  std::vector<std::int64_t> padded(is_flat() ? 1 : shape_.size());
  for (int rank = 0; rank < ranks(); ++rank) {
    const auto own = local_shape(rank);
    for (std::size_t d = 0; d < padded.size(); ++d) padded[d] = std::max(padded[d], own[d]);
  }
  return padded;
}

std::size_t TensorLayout::padded_count() const {
  const auto padded = padded_shape();
  return std::accumulate(padded.begin(), padded.end(), std::size_t{1},
                         [](std::size_t a, std::int64_t b) { return a * static_cast<std::size_t>(b); });
}

std::vector<Interval> TensorLayout::valid(int rank) const {
  std::vector<std::vector<Interval>> runs;
  for (const std::int64_t extent : local_shape(rank)) {
    runs.emplace_back();
    append(runs.back(), {0, static_cast<std::size_t>(extent)});
  }
  return box_ranges(extents_of(padded_shape()), runs, {0, local_count(rank)});
}

std::string to_text(const TensorLayout& layout) {
  std::string text = layout.tensor() + " " + text_of_shape(layout.shape()) + " on " + to_text(layout.mesh()) + ":";
  for (std::size_t i = 0; i < layout.placements().size(); ++i)
    text += (i == 0 ? " " : ", ") + to_text(layout.placements()[i]);
  return text;
}

}  // namespace trireme::layout
