// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/device.hpp"
#include "trireme/base/error.hpp"

#include <chrono>
#include <utility>

namespace trireme {

/// What a Work refers to: one operation in flight, owned by an engine's pool. Implemented by `comm`.
class WorkState {
 public:
  virtual bool done() const noexcept = 0;
  /// Drives all communicators of the world until this operation is done or `until` has passed; true if done.
  virtual bool drive(Deadline until) noexcept = 0;
  /// Orders `stream` behind the operation. Host operations have no stream: they are waited for.
  virtual void order(Stream stream) noexcept = 0;
  /// The failure, or null. Valid from done() until release().
  virtual const Error* error() const noexcept = 0;
  /// The handle is gone: waits for the end (bounded by the operation's deadline) and returns the state to its pool.
  virtual void release() noexcept = 0;

 protected:
  ~WorkState() = default;
};

/// A handle on an asynchronous operation. Move only; an empty Work is done and has no error.
/// Threads: one thread uses one Work at a time.
/// Errors:  wait() throws Exception; the destructor waits, aborts at the deadline and never throws: the buffers of
///          the operation may live on the stack. An error nobody waited for is raised by the communicator's next call.
class [[nodiscard]] Work {
 public:
  Work() = default;
  explicit Work(WorkState* state) noexcept : state_(state) {}
  Work(Work&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Work& operator=(Work&& other) noexcept {
    if (this != &other) {
      reset();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~Work() { reset(); }

  /// Blocks until the operation is done; throws its error.
  void wait() {
    if (state_ == nullptr) return;
    state_->drive(Deadline::never());  // bounded: the operation itself fails at its own deadline
    if (const Error* failure = state_->error()) {
      Error copy = *failure;
      reset();
      throw Exception(std::move(copy));
    }
    reset();
  }

  /// Blocks for at most `duration`; true if the operation is done (look at error()).
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> duration) {
    return state_ == nullptr || state_->drive(Deadline::after(duration));
  }

  /// What is given to `stream` from now on runs behind the operation. Does not block the host, unless the engine needs it
  /// for the end of the operation (host memory; device memory that goes through the host's).
  void wait_on(Stream stream) {
    if (state_ != nullptr) state_->order(stream);
  }

  /// Does not block, but moves bytes that can move.
  bool done() { return state_ == nullptr || state_->drive(Deadline::at({})); }

  /// The failure of a finished operation, or null.
  const Error* error() const { return state_ == nullptr ? nullptr : state_->error(); }

 private:
  void reset() noexcept {
    if (state_ != nullptr) std::exchange(state_, nullptr)->release();
  }
  WorkState* state_ = nullptr;
};

}  // namespace trireme
