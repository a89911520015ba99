// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::models {

/// Which of the features 0 to `features` - 1 occur in some rows, in ascending order.
/// Cost: a bit per feature and one per 64 of them; assign() takes O(indices + features/4096), without heap for as many
///       indices as before.
class FeatureSet {
 public:
  FeatureSet() = default;
  explicit FeatureSet(std::size_t features);

  /// The features of `indices`, in place of what the set held.
  /// Shape: indices below `features`, in any order, repeated or not.
  void assign(std::span<const std::uint32_t> indices);
  std::span<const std::uint32_t> ascending() const { return ascending_; }

 private:
  std::size_t features_ = 0;
  std::vector<std::uint64_t> marks_;    // bit f % 64 of word f / 64: f is in; all 0 between calls
  std::vector<std::uint64_t> summary_;  // bit w % 64 of word w / 64: word w of marks_ is not 0
  std::vector<std::uint32_t> ascending_;
};

}  // namespace trireme::models
