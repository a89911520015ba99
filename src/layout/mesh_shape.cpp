// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/mesh_shape.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace trireme::layout {
namespace {

[[noreturn]] void refuse(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

void check_names(std::span<const MeshAxis> axes) {
  if (axes.empty()) refuse("a mesh without axes: give at least one, such as data=8");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto& name = axes[i].name;
    if (name.empty()) refuse("mesh " + to_text(axes) + ": axis " + std::to_string(i) + " has no name");
    if (name.find_first_of(",= \t\n\r") != std::string::npos) {
      refuse("mesh " + to_text(axes) + ": the name '" + name +
             "' has a comma, an equals sign or a space; these separate axes in the mesh's text");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (axes[j].name == name) refuse("mesh " + to_text(axes) + ": axis '" + name + "' stands twice");
    }
  }
}

/// Replaces the one -1 by what the others leave of `ranks`.
void settle_sizes(std::vector<MeshAxis>& axes, int ranks) {
  MeshAxis* rest = nullptr;
  std::int64_t product = 1;
  bool too_many = false;
  for (auto& axis : axes) {
    if (axis.size == -1) {
      if (rest != nullptr) {
        refuse("mesh " + to_text(axes) + ": axes '" + rest->name + "' and '" + axis.name +
               "' both have size -1; one axis at most may take the rest of the ranks");
      }
      rest = &axis;
    } else if (axis.size < 1) {
      refuse("mesh " + to_text(axes) + ": axis '" + axis.name + "' has " + std::to_string(axis.size) +
             " ranks; give at least 1, or -1 for the rest of the ranks");
    } else if (!too_many) {
      product *= axis.size;
      too_many = product > INT32_MAX;
    }
  }
  const std::string many = too_many ? "more than " + std::to_string(INT32_MAX) : std::to_string(product);
  if (rest != nullptr) {
    if (too_many || ranks % product != 0) {
      refuse("mesh " + to_text(axes) + ": the other axes have " + many + " ranks together, which does not divide the " +
             std::to_string(ranks) + " ranks there are; axis '" + rest->name + "' cannot take the rest");
    }
    rest->size = static_cast<int>(ranks / product);
  } else if (too_many || product != ranks) {
    refuse("mesh " + to_text(axes) + " has " + many + " ranks, but there are " + std::to_string(ranks) +
           "; the sizes must multiply to the number of ranks");
  }
}

}  // namespace

std::vector<MeshAxis> parse_mesh_axes(std::string_view text) {
  std::vector<MeshAxis> axes;
  const auto quoted = [&] { return "mesh '" + std::string(text) + "'"; };
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    const auto part = rest.substr(0, comma);
    const auto equals = part.find('=');
    if (part.empty()) {
      refuse(quoted() + ": axis " + std::to_string(axes.size()) + " is empty; write name=size, separated by commas");
    }
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == part.size()) {
      refuse(quoted() + ": '" + std::string(part) + "' is not name=size");
    }
    const auto digits = part.substr(equals + 1);
    int size = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (error != std::errc() || end != digits.data() + digits.size()) {
      refuse(quoted() + ": the size of axis '" + std::string(part.substr(0, equals)) + "' is '" + std::string(digits) +
             "'; give a number of ranks, or -1 for the rest");
    }
    axes.push_back({std::string(part.substr(0, equals)), size});
    if (comma == std::string_view::npos) return axes;
    rest.remove_prefix(comma + 1);
  }
}

std::string to_text(std::span<const MeshAxis> axes) {
  std::string text;
  for (const auto& axis : axes) {
    if (!text.empty()) text += ',';
    text += axis.name + "=" + std::to_string(axis.size);
  }
  return text;
}

std::string to_text(const MeshShape& shape) { return to_text(shape.axes()); }

MeshShape::MeshShape(std::vector<MeshAxis> axes, int ranks) : axes_(std::move(axes)), ranks_(ranks) {
  if (ranks < 1) refuse("a mesh of " + std::to_string(ranks) + " ranks: there must be at least 1");
  check_names(axes_);
  settle_sizes(axes_, ranks);
}

std::optional<std::size_t> MeshShape::find(std::string_view axis) const {
  const auto found = std::find_if(axes_.begin(), axes_.end(), [&](const MeshAxis& each) { return each.name == axis; });
  if (found == axes_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - axes_.begin());
}

std::size_t MeshShape::index_of(std::string_view axis) const {
  if (const auto found = find(axis)) return *found;
  refuse("mesh " + to_text(*this) + " has no axis '" + std::string(axis) + "'");
}

std::vector<int> MeshShape::coordinates(int rank) const {
  std::vector<int> result(axes_.size());
  for (std::size_t i = axes_.size(); i-- > 0;) {
    result[i] = rank % axes_[i].size;
    rank /= axes_[i].size;
  }
  return result;
}

int MeshShape::rank_at(std::span<const int> coordinates) const {
  if (coordinates.size() != axes_.size()) {
    refuse("mesh " + to_text(*this) + " has " + std::to_string(axes_.size()) + " axes, but " +
           std::to_string(coordinates.size()) + " coordinates were given");
  }
  int rank = 0;
  for (std::size_t i = 0; i < axes_.size(); ++i) {
    if (coordinates[i] < 0 || coordinates[i] >= axes_[i].size) {
      refuse("mesh " + to_text(*this) + ": there is no coordinate " + std::to_string(coordinates[i]) + " on axis '" +
             axes_[i].name + "'");
    }
    rank = rank * axes_[i].size + coordinates[i];
  }
  return rank;
}

std::vector<int> MeshShape::group(int rank, std::span<const std::size_t> along) const {
  std::vector<int> place = coordinates(rank);
  for (const std::size_t axis : along) place[axis] = 0;
  std::vector<int> ranks;
  for (;;) {
    ranks.push_back(rank_at(place));
    std::size_t i = along.size();
    for (; i > 0; --i) {
      if (++place[along[i - 1]] < axes_[along[i - 1]].size) break;
      place[along[i - 1]] = 0;
    }
    if (i == 0) return ranks;
  }
}

}  // namespace trireme::layout
