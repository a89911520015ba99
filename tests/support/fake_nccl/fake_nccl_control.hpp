// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>

namespace trireme::testing {

/// What a test tells the fake NCCL and hears from it. Ranks are those of the communicators.
struct FakeNccl {
  static constexpr int most_ranks = 64;

  std::atomic<int> version{22809};
  std::atomic<int> hang_rank{
      -1};  ///< the hang_call-th call of this rank that moves data never ends, until it is aborted
  std::atomic<int> hang_call{0};
  std::atomic<int> error_rank{-1};  ///< the error_call-th such call of this rank returns error_result
  std::atomic<int> error_call{0};
  std::atomic<int> error_result{1};
  std::atomic<int> async_rank{-1};  ///< this rank's communicators say async_result when they are asked
  std::atomic<int> async_result{0};
  std::atomic<int> late{0};  ///< how often a communicator is asked before it has done what it was called for
  std::atomic<bool> abort_blocks{false};
  std::atomic<bool> deregister_blocks{false};
  std::atomic<bool> splits_hang{false};  ///< what is split off is never made, until its parent is aborted

  std::array<std::atomic<int>, most_ranks> calls{};  ///< that move data, of each rank
  std::atomic<int> groups{0};                        ///< that were given to streams
  std::atomic<int> largest_group{0};                 ///< calls in one
  std::atomic<int> native{0};                        ///< reductions
  std::atomic<int> inits{0};
  std::atomic<int> splits{0};
  std::atomic<int> finalized{0};
  std::atomic<int> destroyed{0};
  std::atomic<int> aborted{0};
  std::atomic<int> communicators{0};  ///< that there are
  std::atomic<int> operations{0};     ///< premultiplied ones that there are
  std::atomic<int> memories{0};       ///< of its allocator that there are
  std::atomic<int> windows{0};        ///< that there are
  std::atomic<int> registered{0};     ///< memories registered for one rank that there are
  std::atomic<int> registrations{0};  ///< of either kind, ever
  std::atomic<int> deregistrations{0};
  std::atomic<int> deregistering{0};  ///< calls under way
  std::atomic<int> shrinks{0};
  std::atomic<int> connections{
      0};                       ///< made by calls: to a peer or for an algorithm, the first time of each communicator
  std::atomic<int> known{0};    ///< calls of collectives on memory that is registered with their communicator
  std::atomic<int> misused{0};  ///< calls on communicators that were not done with the one before, and ends of such

  void reset() {
    version = 22809;
    hang_rank = error_rank = async_rank = -1;
    hang_call = error_call = async_result = late = 0;
    error_result = 1;
    abort_blocks = splits_hang = deregister_blocks = false;
    forget();
  }
  /// Counts from here.
  void forget() {
    for (auto& count : calls) count = 0;
    groups = largest_group = native = inits = splits = finalized = destroyed = aborted = misused = 0;
    registrations = deregistrations = shrinks = connections = known = 0;
  }
};

}  // namespace trireme::testing
