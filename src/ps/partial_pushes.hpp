// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/layout/interval.hpp"
#include "trireme/ps/key_plan.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace trireme::ps {

/// Gradients that arrive in ranges: cut at the edges of keys, kept until a key has all its elements.
class PartialPushes {
 public:
  struct Whole {
    Key key = 0;
    std::vector<std::span<const std::byte>> pieces;  ///< in order of elements
  };

  explicit PartialPushes(const KeyPlan& plan) : plan_(plan) {}

  /// Adds elements `range` of a tensor in `step`. Returns keys that are whole now.
  /// Errors: invalid_argument when elements come twice, or do not exist.
  std::vector<Whole> add(std::size_t tensor, std::uint64_t step, layout::Interval range,
                         std::span<const std::byte> elements);
  /// Whether a tensor has begun and is not whole.
  bool is_open(std::size_t tensor, std::uint64_t step) const;

 private:
  struct Piece {
    layout::Interval range;
    std::span<const std::byte> bytes;
  };
  const KeyPlan& plan_;
  std::map<std::pair<Key, std::uint64_t>, std::map<std::size_t, Piece>> pieces_;  ///< by key and step; by first element
};

}  // namespace trireme::ps
