// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace trireme::engines::mpi {

/// The blocks of one buffer, one per rank and one behind the other, of equal or unequal sizes; and the part of each that
/// one round moves: counts and places of a contiguous message in bytes, as MPI takes them.
class Blocks {
 public:
  explicit Blocks(std::size_t ranks) : begin_(ranks + 1), counts_(ranks), places_(ranks), elements_(ranks) {}

  /// Blocks of `count` elements each.
  void equal(std::size_t count, std::size_t element) {
    element_ = element;
    for (std::size_t r = 0; r < begin_.size(); ++r) begin_[r] = r * count;
  }
  /// Block r is [edges[r], edges[r+1]).
  void at(std::span<const std::size_t> edges, std::size_t element) {
    element_ = element;
    std::copy(edges.begin(), edges.end(), begin_.begin());
  }
  /// `count` elements cut into as many nearly equal blocks as there are ranks.
  void cut(std::size_t count, std::size_t element) {
    element_ = element;
    const std::size_t ranks = counts_.size();
    for (std::size_t r = 0; r <= ranks; ++r) begin_[r] = count / ranks * r + std::min(r, count % ranks);
  }

  std::size_t size(std::size_t rank) const { return begin_[rank + 1] - begin_[rank]; }
  std::size_t begin(std::size_t rank) const { return begin_[rank]; }
  std::size_t largest() const {
    std::size_t result = 0;
    for (std::size_t r = 0; r < counts_.size(); ++r) result = std::max(result, size(r));
    return result;
  }
  /// The part of `range` that lies in block `rank`, counted from its beginning.
  layout::Interval part(std::size_t rank, layout::Interval range) const {
    return {std::min(range.begin, size(rank)), std::min(range.end, size(rank))};
  }

  /// Sets counts() and places() for elements `range` of every block, packed. Returns the bytes of all.
  /// Requires that they fit an int, as rounds are cut.
  std::size_t message(layout::Interval range) {
    std::size_t bytes = 0;
    for (std::size_t r = 0; r < counts_.size(); ++r) {
      const std::size_t count = part(r, range).size() * element_;
      counts_[r] = static_cast<int>(count);
      places_[r] = static_cast<int>(bytes);
      bytes += count;
    }
    return bytes;
  }
  const int* counts() const { return counts_.data(); }
  /// After message(): the same in elements.
  const int* elements() {
    const int size = static_cast<int>(element_);
    std::transform(counts_.begin(), counts_.end(), elements_.begin(), [size](int bytes) { return bytes / size; });
    return elements_.data();
  }
  const int* places() const { return places_.data(); }
  std::size_t place(std::size_t rank) const { return static_cast<std::size_t>(places_[rank]); }

  /// Whether `range` is all of every block: then the packed message is the buffer itself.
  bool whole(layout::Interval range) const { return range.begin == 0 && range.end >= largest(); }
  void pack(const std::byte* buffer, layout::Interval range, std::byte* message) const {
    for (std::size_t r = 0; r < counts_.size(); ++r) {
      if (counts_[r] != 0)
        std::memcpy(message + places_[r], buffer + (begin_[r] + part(r, range).begin) * element_, bytes_of(r));
    }
  }
  void unpack(const std::byte* message, layout::Interval range, std::byte* buffer) const {
    for (std::size_t r = 0; r < counts_.size(); ++r) {
      if (counts_[r] != 0)
        std::memcpy(buffer + (begin_[r] + part(r, range).begin) * element_, message + places_[r], bytes_of(r));
    }
  }

 private:
  std::size_t bytes_of(std::size_t rank) const { return static_cast<std::size_t>(counts_[rank]); }
  std::size_t element_ = 1;
  std::vector<std::size_t> begin_;
  std::vector<int> counts_;
  std::vector<int> places_;
  std::vector<int> elements_;
};

}  // namespace trireme::engines::mpi
