// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/rendezvous/control.hpp"
#include "trireme/rendezvous/server.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace trireme::rendezvous::testing {

inline Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }

/// A rank's listener: answers what it is told to, remembers what it hears.
class Ear final : public ControlListener {
 public:
  Ear() = default;
  explicit Ear(Status answer) : answer_(std::move(answer)) {}

  Status status() noexcept override {
    std::lock_guard lock(mutex_);
    ++questions_;
    return answer_;
  }
  void verdict(const Cause& cause) noexcept override {
    std::lock_guard lock(mutex_);
    verdicts_.push_back(cause);
    heard_.notify_all();
  }

  /// The verdict, waiting for it; code none when it does not come.
  Cause heard() {
    std::unique_lock lock(mutex_);
    heard_.wait_until(lock, soon().moment(), [this] { return !verdicts_.empty(); });
    return verdicts_.empty() ? Cause{} : verdicts_.front();
  }
  std::size_t times() {
    std::lock_guard lock(mutex_);
    return verdicts_.size();
  }
  int questions() {
    std::lock_guard lock(mutex_);
    return questions_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable heard_;
  Status answer_;
  std::vector<Cause> verdicts_;
  int questions_ = 0;
};

inline Status waiting(std::uint64_t operation, std::vector<std::int32_t> for_whom) {
  return {-1, 0, operation, true, "all_reduce #" + std::to_string(operation) + " 'bucket 0'", std::move(for_whom)};
}
inline Status idle(std::uint64_t last) {
  return {-1, 0, last, false, "all_reduce #" + std::to_string(last) + " 'bucket 0'", {}};
}
inline Cause failure(ErrorCode code, std::uint64_t operation, int member) {
  return {code,
          0,
          0,
          operation,
          member,
          "",
          "all_reduce #" + std::to_string(operation) + " 'bucket 0'",
          "something failed"};
}

/// Lines a server or a join has logged.
class Lines {
 public:
  Log log() {
    return Log(LogLevel::debug, [this](LogLevel, std::string_view line) {
      std::lock_guard lock(mutex_);
      lines_.emplace_back(line);
      grown_.notify_all();
    });
  }
  /// Waits until a line contains `text`; that line, or "" when none comes.
  std::string find(const std::string& text) {
    std::unique_lock lock(mutex_);
    std::string found;
    grown_.wait_until(lock, soon().moment(), [&] {
      for (const std::string& line : lines_) {
        if (line.find(text) != std::string::npos) found = line;
      }
      return !found.empty();
    });
    return found;
  }

 private:
  std::mutex mutex_;
  std::condition_variable grown_;
  std::vector<std::string> lines_;
};

inline net::JobKey test_key() { return net::JobKey::from_text("a key for the tests of the rendezvous"); }

inline Server::Options options_for(int world_size, Log log = {}) {
  Server::Options options{.key = test_key(), .job_id = "job-1"};
  options.world_size = world_size;
  options.collection = std::chrono::milliseconds(20);  // no time to answer: tests that need answers give more
  options.log = std::move(log);
  return options;
}

inline ServerAddress rank_of(const net::Address& server, int rank) {
  return {.address = server, .key = test_key(), .job_id = "job-1", .epoch = 0, .rank = rank};
}

}  // namespace trireme::rendezvous::testing
