// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace trireme::testing {

/// A log that keeps its lines; copies of log() may outlive it.
class HeardLog {
 public:
  Log log() const {
    return Log(LogLevel::debug, [kept = kept_](LogLevel, std::string_view line) {
      const std::lock_guard lock(kept->mutex);
      kept->lines.emplace_back(line);
    });
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(kept_->mutex);
    return kept_->lines;
  }

 private:
  struct Kept {
    std::mutex mutex;
    std::vector<std::string> lines;
  };
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

}  // namespace trireme::testing
