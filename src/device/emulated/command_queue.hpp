// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace trireme::device {

/// A stream of an emulated device: a thread that takes commands in order.
/// Threads: any gives commands.
class CommandQueue {
 public:
  using Command = std::function<void()>;
  /// Each command begins after a pause of 0 to `delay`, chosen by `seed`.
  CommandQueue(int device, std::uint64_t seed, std::chrono::microseconds delay);
  /// Waits for what was given.
  ~CommandQueue();
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  int device() const { return device_; }
  void give(Command command);
  void synchronize();

 private:
  void run();
  const int device_;
  std::uint64_t random_;
  const std::chrono::microseconds delay_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::condition_variable idle_;
  std::deque<Command> commands_;
  bool running_ = false;  ///< a command is
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace trireme::device
