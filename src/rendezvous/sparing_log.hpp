// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"

#include <chrono>
#include <string>

namespace trireme::rendezvous {

/// Warnings about strangers, who may come by the thousand: a few lines per window, of the rest only how many.
/// Threads: one.
class SparingLog {
 public:
  using Clock = Deadline::Clock;
  /// `rest`: what the lines left out were about, after their number: "more connections were dropped".
  SparingLog(Log log, std::string rest) : log_(std::move(log)), rest_(std::move(rest)) {}
  SparingLog(const SparingLog&) = delete;
  ~SparingLog() { tell_left_out(); }

  void warn(const std::string& line, Clock::time_point now = Clock::now()) {
    if (said_ == 0 || now - since_ >= window) {
      tell_left_out();
      since_ = now;
      said_ = 0;
    }
    if (said_ < lines_per_window) {
      ++said_;
      log_(LogLevel::warning, line);
    } else {
      ++left_out_;
    }
  }

  static constexpr int lines_per_window = 5;
  static constexpr std::chrono::seconds window{10};

 private:
  void tell_left_out() {
    if (left_out_ > 0) log_(LogLevel::warning, std::to_string(left_out_) + " " + rest_);
    left_out_ = 0;
  }

  Log log_;
  std::string rest_;
  Clock::time_point since_{};
  int said_ = 0;
  long long left_out_ = 0;
};

}  // namespace trireme::rendezvous
