// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

namespace trireme::device {

/// One record() of an event: passed once.
class Mark {
 public:
  void pass() {
    {
      const std::lock_guard lock(mutex_);
      passed_ = true;
    }
    changed_.notify_all();
  }
  bool passed() const {
    const std::lock_guard lock(mutex_);
    return passed_;
  }
  void await() const {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return passed_; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool passed_ = false;
};

/// An event of an emulated device: its latest record(). None: it has passed.
class Event {
 public:
  std::shared_ptr<Mark> latest() const {
    const std::lock_guard lock(mutex_);
    return latest_;
  }
  void set(std::shared_ptr<Mark> mark) {
    const std::lock_guard lock(mutex_);
    latest_ = std::move(mark);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Mark> latest_;
};

}  // namespace trireme::device
