// SPDX-License-Identifier: Apache-2.0
#include "device/emulated/command_queue.hpp"

#include <utility>

namespace trireme::device {

CommandQueue::CommandQueue(int device, std::uint64_t seed, std::chrono::microseconds delay)
    : device_(device), random_(seed), delay_(delay), thread_([this] { run(); }) {}

CommandQueue::~CommandQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  given_.notify_all();
  thread_.join();
}

void CommandQueue::give(Command command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  given_.notify_one();
}

void CommandQueue::synchronize() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return commands_.empty() && !running_; });
}

void CommandQueue::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [this] { return ending_ || !commands_.empty(); });
    if (commands_.empty()) return;
    const Command command = std::move(commands_.front());
    commands_.pop_front();
    running_ = true;
    lock.unlock();
    if (delay_.count() != 0) {
      random_ = random_ * 6364136223846793005u + 1442695040888963407u;
      std::this_thread::sleep_for(
          std::chrono::microseconds((random_ >> 33) % static_cast<std::uint64_t>(delay_.count() + 1)));
    }
    command();
    lock.lock();
    running_ = false;
    if (commands_.empty()) idle_.notify_all();
  }
}

}  // namespace trireme::device
