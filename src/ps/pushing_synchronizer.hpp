// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucketed_synchronizer.hpp"
#include "parallel/fold_memory.hpp"
#include "ps/session.hpp"

#include <memory>
#include <vector>

namespace trireme::ps {

/// What the bulk-synchronous synchronizers have in common: own leaves are folded along the balanced tree, as for all_reduce, and
/// each gradient is pushed when its last leaf is folded, while backward goes on; row-sparse ones by rows, in reduce(). What comes
/// back is theirs. Every step pushes something of every key, so that servers wait for nobody who has nothing.
class PushingSynchronizer : public parallel::BucketedSynchronizer {
 public:
  Bytes gradient_memory() const final { return Bytes{memory_bytes_}; }

  ~PushingSynchronizer() override;

 protected:
  PushingSynchronizer(const parallel::SynchronizerSetup& setup, std::shared_ptr<Session> session);

  /// Its push is next.
  virtual void expect_sum(std::size_t) {}
  /// The sum of `parameter` is to be awaited, and what comes back with it is kept.
  virtual void wait_for_sum(std::size_t parameter) = 0;
  /// Where its mean may lie: where it was folded.
  TensorView folded(std::size_t parameter) const;
  std::uint64_t step() const { return session_->steps + 1; }
  Session& session() const { return *session_; }
  void begin_buckets() override;

 private:
  void fold(std::size_t parameter, bool present) final;
  void start_complete_buckets() final { communicator_.progress(); }
  void start_remaining_buckets() final;
  void start_rows() final;
  void wait_for_buckets() final;
  void wait_for_rows() final {}
  void push(std::size_t parameter, bool used);
  Client::PushOptions push_options() const { return {.step = step(), .weight = total_.own()}; }

  std::shared_ptr<Session> session_;
  std::size_t
      memory_bytes_;  ///< fold_depth copies of the gradients; none when a single leaf is folded where it is written
  std::unique_ptr<parallel::FoldMemory> memory_;
  std::vector<bool> pushed_;  ///< per parameter, in this step
  bool under_way_ = false;    ///< something is pushed of which the sum has not come
};

}  // namespace trireme::ps
