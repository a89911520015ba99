// SPDX-License-Identifier: Apache-2.0
#include "cli/train/interruption.hpp"

#include <chrono>
#include <csignal>
#include <utility>

namespace trireme::cli {

Interruption::Interruption(std::unique_ptr<interruption::Watch> watch, NoticeReaction reaction, Parts parts)
    : watch_(std::move(watch)), reaction_(std::move(reaction)), parts_(std::move(parts)) {
  thread_ = std::thread([this] { look_until_stopped(); });
}

Interruption::~Interruption() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  stopped_.notify_all();
  thread_.join();
}

void Interruption::look_until_stopped() {
  std::unique_lock lock(mutex_);
  while (!is_stopped_) {
    const bool is_over = watch_->is_over();  // before the last look
    lock.unlock();
    look();
    lock.lock();
    if (is_over && !watch_->current()) return;
    stopped_.wait_for(lock, std::chrono::milliseconds(200), [this] { return is_stopped_; });
  }
}

void Interruption::look() {
  const NoticeReaction::Action action =
      reaction_.look(watch_->current(), NoticeReaction::Clock::now(), parts_.save_seconds());
  for (const std::string& line : action.lines) parts_.say(line);
  if (action.checkpoint) parts_.signals.request_checkpoint();
  if (action.stop) parts_.signals.request_stop(SIGTERM);
}

}  // namespace trireme::cli
