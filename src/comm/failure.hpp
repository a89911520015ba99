// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/rendezvous/control.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>

namespace trireme::comm {

/// How a world comes to the one cause all its ranks report. A local failure is told to the coordinator; its verdict, or
/// after `verdict_wait` without one the local cause, aborts the world. The first cause stays.
/// Threads: aborted() from any, lock-free; settle() from the control channel's thread too; the rest under the progress lock.
class Failure {
 public:
  explicit Failure(std::chrono::milliseconds verdict_wait) : verdict_wait_(verdict_wait) {}

  bool aborted() const noexcept { return aborted_.load(std::memory_order_acquire); }
  /// A local failure is under discussion.
  bool pending() const noexcept { return pending_.has_value(); }
  /// A local failure is under discussion, and it is that the ranks called different operations.
  bool disputed() const noexcept { return pending_ && pending_->code == ErrorCode::mismatch; }

  /// The first local failure counts. Without a channel it aborts at once.
  void raise(const rendezvous::Cause& cause, rendezvous::ControlChannel* channel) {
    if (aborted() || pending_) return;
    pending_ = cause;
    settle_at_ = Deadline::after(verdict_wait_);
    if (channel == nullptr) {
      settle(cause);
    } else {
      channel->report(cause);
    }
  }
  /// The verdict did not come: the own cause it is.
  void settle_if_overdue() {
    if (pending_ && !aborted() && settle_at_.passed()) settle(*pending_);
  }
  /// Aborts the world with `cause`, unless it is already.
  void settle(const rendezvous::Cause& cause) {
    std::lock_guard lock(mutex_);
    if (cause_) return;
    cause_ = cause;
    aborted_.store(true, std::memory_order_release);
  }
  std::optional<rendezvous::Cause> cause() const {
    std::lock_guard lock(mutex_);
    return cause_;
  }

 private:
  const std::chrono::milliseconds verdict_wait_;
  std::atomic<bool> aborted_{false};
  std::optional<rendezvous::Cause> pending_;
  Deadline settle_at_ = Deadline::never();
  mutable std::mutex mutex_;
  std::optional<rendezvous::Cause> cause_;
};

}  // namespace trireme::comm
