// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/mesh.hpp"

#include "parallel/closeness.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme {
namespace {

std::vector<int> close_order(const Communicator& communicator) {
  std::vector<Location> locations;
  for (int rank = 0; rank < communicator.size(); ++rank) locations.push_back(communicator.location(rank));
  return parallel::order_by_closeness(locations);
}

/// The communicator's ranks in that order; itself when that is theirs.
Communicator numbered(Communicator communicator, std::span<const int> order) {
  if (std::is_sorted(order.begin(), order.end())) return communicator;
  return *communicator.subgroup(order);  // all ranks are in it
}

}  // namespace

Mesh::Mesh(Communicator communicator, std::vector<MeshAxis> axes, std::vector<std::vector<std::string>> joined)
    : asked_(std::move(axes)),
      asked_joined_(std::move(joined)),
      shape_(asked_, communicator.size()),
      ranks_(close_order(communicator)),
      whole_(communicator) {
  std::vector<std::vector<std::size_t>> sets;  // refused before anything is made
  for (const auto& names : asked_joined_) {
    auto set = indices_of(names);
    const bool has_one_anyway = set.size() <= 1 || set == indices_of_all();
    const bool stands_before = std::find(sets.begin(), sets.end(), set) != sets.end();
    if (!has_one_anyway && !stands_before) sets.push_back(std::move(set));
  }
  whole_ = numbered(std::move(communicator), ranks_);
  for (std::size_t axis = 0; axis < axes_count(); ++axis) along_.push_back(split(std::span(&axis, 1)));
  for (auto& set : sets) {
    auto made = split(set);
    joined_.push_back({std::move(set), std::move(made)});
  }
}

Mesh Mesh::parse(Communicator communicator, std::string_view text, std::vector<std::vector<std::string>> joined) {
  return {std::move(communicator), layout::parse_mesh_axes(text), std::move(joined)};
}

void Mesh::rebind(Communicator communicator) { *this = Mesh(std::move(communicator), asked_, asked_joined_); }

/// Axes of one rank change no group: they are left out.
std::vector<std::size_t> Mesh::indices_of(const std::vector<std::string>& axes) const {
  std::vector<std::size_t> indices;
  for (const auto& name : axes) {
    const std::size_t index = shape_.index_of(name);
    if (shape_.axes()[index].size > 1) indices.push_back(index);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return indices;
}

std::vector<std::size_t> Mesh::indices_of_all() const {
  std::vector<std::string> names;
  for (const auto& axis : axes()) names.push_back(axis.name);
  return indices_of(names);
}

Communicator Mesh::split(std::span<const std::size_t> along) {
  const auto group = shape_.group(whole_.rank(), along);
  const auto place = std::find(group.begin(), group.end(), whole_.rank());
  return *whole_.split(group.front(), static_cast<int>(place - group.begin()));
}

const Communicator& Mesh::communicator(const std::vector<std::string>& axes) const {
  const auto set = indices_of(axes);
  if (set == indices_of_all()) return whole_;
  if (set.size() == 1) return along_[set.front()];
  if (set.empty() && !axes.empty()) return along_[shape_.index_of(axes.front())];
  for (const auto& each : joined_) {
    if (each.axes == set) return each.communicator;
  }
  std::string text;
  for (const auto& name : axes) text += (text.empty() ? "" : ", ") + name;
  fail(ErrorCode::invalid_argument, "mesh " + to_text(*this) + " has no communicator over {" + text +
                                        "}: name the set when the mesh is made, as one of `joined`");
}

int Mesh::rank_at(std::span<const int> coordinates) const {
  return ranks_[static_cast<std::size_t>(shape_.rank_at(coordinates))];
}

}  // namespace trireme
