// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::layout {

/// One way in which ranks work together, by a name of the user's: {"tensor", 4}.
struct MeshAxis {
  std::string name;
  int size = 1;  ///< ranks along it; in what a MeshShape is made of, one may be -1: the ranks that the others leave
  friend bool operator==(const MeshAxis&, const MeshAxis&) = default;
};

/// "data=2,tensor=4" -> {{"data", 2}, {"tensor", 4}}; sizes may be -1. The form of the flag --mesh.
/// Errors: invalid_argument naming what is no name=size.
std::vector<MeshAxis> parse_mesh_axes(std::string_view text);

/// The inverse.
std::string to_text(std::span<const MeshAxis> axes);

/// Ranks numbered by coordinates on named axes: the last axis runs fastest, so ranks that differ on it alone are
/// consecutive. The sizes multiply to the number of ranks.
class MeshShape {
 public:
  /// Errors: invalid_argument, naming the axis: no axes; a name that is empty, stands twice or has a comma, an equals
  ///         sign or a space; a size below 1 other than one -1; a product that is not `ranks` (both are named).
  MeshShape(std::vector<MeshAxis> axes, int ranks);

  int ranks() const { return ranks_; }
  std::span<const MeshAxis> axes() const { return axes_; }
  /// Whether there is such an axis, and where.
  std::optional<std::size_t> find(std::string_view axis) const;
  /// Errors: invalid_argument naming the axes that there are.
  std::size_t index_of(std::string_view axis) const;
  int size(std::string_view axis) const { return axes_[index_of(axis)].size; }

  /// Of `rank`, one for each axis.  Shape: 0 <= rank < ranks().
  std::vector<int> coordinates(int rank) const;
  /// The inverse.  Errors: invalid_argument naming the axis whose coordinate there is not.
  int rank_at(std::span<const int> coordinates) const;
  /// The ranks that have the coordinates of `rank` on all axes but `along`, ordered by their coordinates on these (the
  /// last one fastest).  Shape: indices of axes, ascending.
  std::vector<int> group(int rank, std::span<const std::size_t> along) const;

  friend bool operator==(const MeshShape&, const MeshShape&) = default;

 private:
  std::vector<MeshAxis> axes_;
  int ranks_;
};

std::string to_text(const MeshShape& shape);

}  // namespace trireme::layout
