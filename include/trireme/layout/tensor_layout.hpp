// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/flat_shards.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/layout/mesh_shape.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::layout {

enum class PlacementKind : unsigned char {
  replicated,  ///< every rank has all of it
  sharded,     ///< every rank has a piece of one dimension
  flat,        ///< every rank has a range of the elements in row-major order, cut at reduction blocks
  partial,     ///< every rank has a summand of all of it
};

/// How the ranks of one axis share a tensor. Any size will do: rank i of P has [floor(i n/P), floor((i+1) n/P)), which may
/// be nothing.
struct Placement {
  PlacementKind kind = PlacementKind::replicated;
  std::size_t dimension = 0;  ///< sharded: which
  /// sharded: sizes of consecutive segments of the dimension, each of which is cut by itself, so that a rank has a piece of
  /// every one (queries, keys and values fused in one weight). None: the dimension is one segment.
  std::vector<std::size_t> segments{};
  std::size_t block = reduction_block;  ///< flat: elements between which there is no cut

  static Placement replicated() { return {}; }
  static Placement sharded(std::size_t dimension, std::vector<std::size_t> segments = {}) {
    return {PlacementKind::sharded, dimension, std::move(segments)};
  }
  static Placement flat(std::size_t block = reduction_block) { return {PlacementKind::flat, 0, {}, block}; }
  static Placement partial() { return {PlacementKind::partial}; }
  friend bool operator==(const Placement&, const Placement&) = default;
};

/// "replicated", "sharded(0)", "sharded(0; 8+4+4)", "flat(4096)", "partial".
std::string to_text(const Placement& placement);

/// How a logical tensor lies on the ranks of some axes: one placement for each, evaluated from the first axis to the
/// last: each shares out among its ranks what the ones before it have left. Several may cut one dimension.
/// A rank's own elements are, in row-major order of its local tensor, ascending in the logical one.
/// Ranks are those of a MeshShape of the axes. A value; pure.
class TensorLayout {
 public:
  /// `tensor`: what errors call it.
  /// Errors: invalid_argument naming tensor, dimension and axis: as many placements as axes; a dimension that the tensor has
  ///         not, or that an axis before has cut flat; segments that do not add up to the dimension; a block of 0; a
  ///         negative extent; more elements than a std::size_t counts.
  TensorLayout(std::string tensor, std::span<const std::int64_t> shape, const MeshShape& mesh,
               std::vector<Placement> placements);
  /// On one axis, named "ranks".
  TensorLayout(std::string tensor, std::span<const std::int64_t> shape, int ranks, Placement placement);

  const std::string& tensor() const { return tensor_; }
  std::span<const std::int64_t> shape() const { return shape_; }
  std::size_t count() const { return count_; }  ///< elements of the logical tensor
  const MeshShape& mesh() const { return mesh_; }
  int ranks() const { return mesh_.ranks(); }
  std::span<const Placement> placements() const { return placements_; }
  /// The same with another placement on the axis of that index.  Errors: as the constructor.
  TensorLayout with(std::size_t axis, Placement placement) const;
  /// Some axis cuts it flat: local tensors have one dimension.
  bool is_flat() const;
  /// Whether what a rank holds is a summand.
  bool is_partial() const;

  std::vector<std::int64_t> local_shape(int rank) const;
  std::size_t local_count(int rank) const;
  /// The logical elements that `rank` holds, as ranges of the logical tensor in row-major order; ascending, not touching.
  /// Cost: one entry for every run of consecutive elements.
  std::vector<Interval> ranges(int rank) const;

  /// The local shape with which all ranks have memory of the same size: the largest extent of each dimension.
  std::vector<std::int64_t> padded_shape() const;
  std::size_t padded_count() const;
  /// Which elements of a padded local tensor, row-major, are elements of `rank`; the rest is padding.
  std::vector<Interval> valid(int rank) const;

  friend bool operator==(const TensorLayout&, const TensorLayout&) = default;

 private:
  struct Local;
  Local local(int rank) const;
  void check() const;
  std::string tensor_;
  std::vector<std::int64_t> shape_;
  std::size_t count_ = 0;
  MeshShape mesh_;
  std::vector<Placement> placements_;
};

/// "w [1000, 64] on data=2,tensor=4: replicated, sharded(0)".
std::string to_text(const TensorLayout& layout);

}  // namespace trireme::layout
