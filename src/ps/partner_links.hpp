// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/dial.hpp"
#include "ps/event_loop.hpp"
#include "trireme/base/log.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace trireme::ps {

/// Keeps a connection from each event loop to its twin on the server that holds the replicas: dials it, and again whenever it is
/// lost, on one thread.
class PartnerLinks {
 public:
  struct Options {
    std::uint32_t server = 0;   ///< own number
    std::uint32_t partner = 0;  ///< whose replicas are there
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
  void run();
  bool try_link(std::uint32_t loop, std::string& problem);

  const Options options_;
  std::vector<EventLoop*> loops_;
  DialBreaker breaker_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::set<std::uint32_t> missing_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme::ps
