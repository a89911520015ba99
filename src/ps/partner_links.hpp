// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/dial.hpp"
#include "ps/event_loop.hpp"
#include "trireme/base/log.hpp"

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace trireme::ps {

/// Keeps a connection from each event loop to its twin on a server that is to hold its replicas: the next one, and another when
/// that one has not answered for a while. Dials, and again whenever it is lost, on one thread.
class PartnerLinks {
 public:
  struct Options {
    std::uint32_t server = 0;   ///< own number
    std::uint32_t servers = 2;  ///< in all
    Caller caller;
    std::function<std::vector<ServerCard>()> others{};
    Log log{};
  };
  explicit PartnerLinks(Options options);
  ~PartnerLinks() { stop(); }

  /// Begins. Shape: `loops` outlive this.
  void start(std::vector<EventLoop*> loops);
  /// Ends what is dialled, and joins the thread.
  void stop();
  /// The connection of a loop has ended. Threads: any.
  void lost(std::uint32_t loop);

 private:
  using Clock = Deadline::Clock;
  void run();
  bool try_links(std::uint32_t loop, Clock::time_point until, std::string& problem);
  bool try_link(std::uint32_t loop, std::uint32_t partner, std::string& problem);

  const Options options_;
  std::vector<EventLoop*> loops_;
  DialBreaker breaker_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::map<std::uint32_t, Clock::time_point> missing_;  ///< loops, and until when the next server alone is dialled
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme::ps
