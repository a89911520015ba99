// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace trireme::tensor_parallel {

/// Settings of an Axis. Equal on all its ranks.
struct AxisOptions {
  std::optional<std::chrono::milliseconds> deadline{};  ///< of each operation; unset: the world's
  ReductionOrder order = ReductionOrder::canonical;
};

/// The ranks among which layers are shared, one axis of a mesh: its communicator, and working memory that all layers of the
/// axis use one after the other. With one rank nothing is sent and nothing is copied that need not be.
/// Order:   the same calls on all ranks of the axis, as of a communicator.
/// Threads: one at a time. Must outlive what uses it; stays where it is.
class Axis {
 public:
  explicit Axis(Communicator communicator, const AxisOptions& options = {});
  Axis(const Axis&) = delete;
  Axis& operator=(const Axis&) = delete;

  const Communicator& communicator() const { return communicator_; }
  int rank() const { return communicator_.rank(); }
  int size() const { return communicator_.size(); }
  layout::Interval share(const Split& split) const { return split.share(rank(), size()); }
  std::size_t share_count(const Split& split) const { return split.share_count(rank(), size()); }

  CallOptions call(std::string_view label) const;
  /// Arena memory, its content unspecified, until the next call of the same kind.
  enum class Scratch : unsigned char { packed, transit, product };
  std::byte* scratch(Scratch kind, std::size_t bytes);

 private:
  Communicator communicator_;
  AxisOptions options_;
  ArenaBuffer buffers_[3];
};

}  // namespace trireme::tensor_parallel
