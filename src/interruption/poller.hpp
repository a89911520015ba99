// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "interruption/probe.hpp"
#include "interruption/source.hpp"
#include "trireme/base/log.hpp"
#include "trireme/interruption/watch.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace trireme::interruption {

/// How long to wait before a service is asked again that has failed `failures` times in a row: twice as long each time, at most
/// half a minute, or five seconds of one that has answered before.
std::chrono::milliseconds pause_after(int failures, bool has_answered);

/// Asks one source on a thread of its own, until it turns out not to be here.
class Poller {
 public:
  Poller(std::unique_ptr<Source> source, MetadataAddress address, Log log);
  Poller(const Poller&) = delete;
  /// Ends the thread within a moment, also in the midst of a request.
  ~Poller();

  /// It will end soon: for several pollers that end together.
  void stop() noexcept;
  std::optional<Notice> current() const;
  bool is_over() const { return is_over_.load(std::memory_order_acquire); }

 private:
  void run() noexcept;
  void ask_until_stopped();
  /// False when it is of no use to ask again.
  bool ask_once();
  /// False when it is stopped already.
  bool make_client();
  void wait(std::chrono::milliseconds pause) const;
  void note(std::optional<Notice> notice);
  void log_debug(const std::string& line) const;

  const std::unique_ptr<Source> source_;
  const MetadataAddress address_;
  const Log log_;
  int wake_;
  std::atomic<bool> is_stopped_{false};
  std::atomic<bool> is_over_{false};
  bool has_answered_ = false;  // the thread's own, as are the failures
  int failures_ = 0;           // in a row
  mutable std::mutex mutex_;
  std::optional<Notice> notice_;          // under the mutex
  std::unique_ptr<http::Client> client_;  // made by the thread, under the mutex: libcurl takes its time to begin
  std::thread thread_;
};

}  // namespace trireme::interruption
