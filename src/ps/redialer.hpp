// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/dial.hpp"
#include "trireme/base/error.hpp"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace trireme::ps {

/// Dials event loops of servers until they answer, on one thread: a server may be back under another address.
class Redialer {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    virtual void dialled(std::uint32_t server, std::uint32_t loop, net::Connection connection, std::string name) = 0;
    virtual void not_dialled(std::uint32_t server, std::uint32_t loop, Error why) = 0;
    /// Nothing leads to the server: it has not come yet, or has ended for good.
    virtual void has_no_card(std::uint32_t server) = 0;
  };
  Redialer(Caller caller, std::function<std::vector<ServerCard>()> servers, Host& host);
  ~Redialer() { stop(); }

  /// Threads: any.
  void want(std::uint32_t server, std::uint32_t loop);
  /// Ends what is dialled, and joins the thread. Nothing is told to the host any more.
  void stop();

 private:
  using Place = std::pair<std::uint32_t, std::uint32_t>;
  void run();
  /// Whether all who were wanted are dialled.
  bool try_all(const std::set<Place>& wanted);

  const Caller caller_;
  const std::function<std::vector<ServerCard>()> servers_;
  Host& host_;
  DialBreaker breaker_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::set<Place> wanted_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme::ps
