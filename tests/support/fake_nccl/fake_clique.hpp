// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/nccl_api.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace trireme::testing {

namespace api = engines::nccl::api;

/// One call that moves data.
struct FakeCall {
  enum class Kind {
    all_reduce,
    reduce,
    reduce_scatter,
    all_gather,
    broadcast,
    all_to_all,
    gather,
    scatter,
    send,
    recv
  };
  Kind kind{};
  const void* input = nullptr;
  void* output = nullptr;
  std::size_t count = 0;
  api::DataType type{};
  int op = 0;
  double scalar = 1.0;  ///< of a premultiplied sum
  int peer = 0;         ///< or the root
  void* stream = nullptr;
  bool hangs = false;
};

/// Where the ranks of one communicator meet: their streams' threads.
class FakeClique {
 public:
  explicit FakeClique(int ranks) : ranks_(ranks), aborted_(static_cast<std::size_t>(ranks)), seen_(aborted_.size()) {}
  int ranks() const { return ranks_; }

  /// Of rank `rank`, on its stream's thread: all at once for sends and receives. Returns when they have ended, or the rank
  /// has aborted. False: the ranks' calls do not fit each other.
  bool run(int rank, const std::vector<FakeCall>& calls);
  void abort(int rank);
  void join();
  bool complete();

 private:
  struct Round {
    std::vector<const FakeCall*> calls;
    int arrived = 0;
    int left = 0;
    bool done = false;
    bool broken = false;
  };
  struct Posted {
    const FakeCall* call;
    bool done = false;
  };
  bool run_collective(std::unique_lock<std::mutex>& lock, int rank, const FakeCall& call);
  bool is_aborted(int rank) const { return aborted_[static_cast<std::size_t>(rank)] != 0; }

  const int ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int joined_ = 0;
  std::vector<char> aborted_;
  std::vector<std::uint64_t> seen_;  // collectives of each rank
  std::map<std::uint64_t, Round> rounds_;
  std::map<std::pair<int, int>, std::deque<Posted*>> posted_;  // from, to
};

std::size_t fake_size_of(api::DataType type);
/// What a collective does, when all ranks have come. Reductions begin with rank 1 and end with rank 0, in the type itself:
/// not the canonical order.
void fake_move(const std::vector<const FakeCall*>& calls);

}  // namespace trireme::testing
