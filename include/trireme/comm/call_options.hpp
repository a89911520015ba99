// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/device.hpp"
#include "trireme/base/op.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace trireme {

/// What a single call may set. A value; use designated initialisers.
struct CallOptions {
  /// How long the operation may take from the moment it is the oldest of those numbered with it (the collectives of its
  /// communicator, the sends to one rank, the receives from one rank) and its stream has come to it; unset: the world's
  /// (TRIREME_TIMEOUT_S, 10 minutes). At the deadline it fails with `timeout` and the world is aborted.
  std::optional<std::chrono::milliseconds> deadline{};
  ReductionOrder order = ReductionOrder::canonical;
  /// Of device buffers: the operation begins behind what the stream holds; issuing does not wait for it. The buffers are the
  /// operation's until it is done or waited for (Work::wait, wait_on), as host memory is. None: it begins at once.
  Stream stream{};
  std::string_view label{};  ///< how an error names the operation: usually a parameter; the first 31 bytes are kept
  /// Leaves of the reduction tree (DataParallel's logical shards): each rank contributes the folded sum of its aligned
  /// block of them. 0: one per rank.
  int leaves = 0;
};

}  // namespace trireme
