// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/layout/mesh_shape.hpp"

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

using layout::MeshAxis;

/// The ranks of a communicator as a grid with named axes, and a communicator along each of them.
///
/// The last axis is the fastest: the ranks of each of its groups are consecutive in the mesh, and so lie as close as can be.
/// Ranks are numbered as in the communicator where those of one host stand together there, and in each host those of one
/// cache domain; else by host, cache domain and rank.
///
///     trireme::Mesh mesh(world.communicator(), {{"data", -1}, {"pipeline", 2}, {"tensor", 2}});
///     trireme::Communicator tensor = mesh.axis("tensor");   // a cheap copy, with which to call
///
/// Order:   construction is collective; all communicators are made then, in the order of the axes, then of `joined`.
/// Cost:    one split for each axis and each joined set; one more when ranks are numbered anew.
/// Threads: one at a time.  Errors: invalid_argument as MeshShape's; the communicator's.
class Mesh {
 public:
  /// `joined`: sets of axes whose ranks shall have a communicator together, {{"data", "pipeline"}}. Axes alone and all of
  /// them have one anyway; axes of one rank do not count.
  Mesh(Communicator communicator, std::vector<MeshAxis> axes, std::vector<std::vector<std::string>> joined = {});
  /// By the text of the flag --mesh: "data=2,tensor=4".
  static Mesh parse(Communicator communicator, std::string_view text,
                    std::vector<std::vector<std::string>> joined = {});

  /// Goes on with other ranks: as if constructed with `communicator`, the same axes (an axis of -1 takes what there is
  /// now) and the same joined sets. Collective over `communicator`. When it is refused the mesh is what it was.
  void rebind(Communicator communicator);

  const layout::MeshShape& shape() const { return shape_; }
  std::span<const MeshAxis> axes() const { return shape_.axes(); }
  int size() const { return shape_.ranks(); }
  /// Ranks along the axis.
  int size(std::string_view axis) const { return shape_.size(axis); }
  /// Of this rank in the mesh: that of communicator().
  int rank() const { return whole_.rank(); }
  /// Of this rank on the axis: its rank in axis(axis).
  int coordinate(std::string_view axis) const { return this->axis(axis).rank(); }
  /// On all axes.
  std::vector<int> coordinates() const { return shape_.coordinates(rank()); }

  /// The ranks that differ from this one on `axis` alone, ordered by their coordinate there.
  const Communicator& axis(std::string_view axis) const { return along_[shape_.index_of(axis)]; }
  /// All ranks, in the order of the mesh: the communicator given, or one of its own where ranks are numbered anew.
  const Communicator& communicator() const { return whole_; }
  /// The ranks that differ from this one on these axes alone, numbered as in the mesh, whatever the order of the names.
  /// Errors: invalid_argument when the set was not named at construction.
  const Communicator& communicator(const std::vector<std::string>& axes) const;

  /// The rank in the communicator given at construction of the member at these coordinates, one for each axis.
  int rank_at(std::span<const int> coordinates) const;
  int rank_at(std::initializer_list<int> coordinates) const {
    return rank_at(std::span<const int>(coordinates.begin(), coordinates.size()));
  }

 private:
  std::vector<std::size_t> indices_of(const std::vector<std::string>& axes) const;
  std::vector<std::size_t> indices_of_all() const;
  std::size_t axes_count() const { return shape_.axes().size(); }
  Communicator split(std::span<const std::size_t> along);

  std::vector<MeshAxis> asked_;
  std::vector<std::vector<std::string>> asked_joined_;
  layout::MeshShape shape_;
  std::vector<int> ranks_;  // of the communicator given, by rank of the mesh
  Communicator whole_;
  std::vector<Communicator> along_;  // by axis
  struct Joined {
    std::vector<std::size_t> axes;
    Communicator communicator;
  };
  std::vector<Joined> joined_;
};

/// "data=2,pipeline=2,tensor=2".
inline std::string to_text(const Mesh& mesh) { return layout::to_text(mesh.shape()); }

}  // namespace trireme
