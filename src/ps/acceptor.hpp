// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/reception.hpp"
#include "rendezvous/doorbell.hpp"
#include "rendezvous/poller.hpp"
#include "rendezvous/sparing_log.hpp"
#include "trireme/base/log.hpp"
#include "trireme/net/handshake.hpp"
#include "trireme/net/socket.hpp"

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace trireme::ps {

/// Listens on TCP addresses and on an abstract Unix socket, receives who comes, and hands over those who have proved themselves:
/// one thread.
class Acceptor {
 public:
  class Host {
   public:
    virtual ~Host() = default;
    /// Takes the guest, or says why it must go. On the acceptor's thread.
    virtual std::string seat(Reception::Guest& guest) = 0;
  };
  struct Options {
    std::vector<net::Address> bind{};
    std::string local{};
    std::string congestion{};  ///< as net::settle_congestion() takes it
    net::JobKey key;
    net::Identity identity{};
    bool tls = false;
    Log log{};
  };

  /// Listens. Errors: as net::listen_tcp and net::listen_local.
  Acceptor(Options options, Host& host);
  ~Acceptor() { stop(); }
  void start();
  /// Takes nobody any more, and nobody is kept waiting: the listeners are closed. Threads: any.
  void refuse_all();
  /// The same; joins the thread.
  void stop();

  /// Where others reach the listeners.
  const std::vector<net::Address>& addresses() const { return addresses_; }
  const std::string& local() const { return options_.local; }
  std::uint64_t refused() const { return refused_; }

 private:
  void run() noexcept;
  void turn();
  void accept_from(std::size_t listener);
  void pause_accepting();
  void watch(bool accepts);
  void turn_away(Reception::Guest& guest, const std::string& why);

  const Options options_;
  Host& host_;
  rendezvous::Doorbell bell_;
  rendezvous::Poller poller_;
  std::vector<net::Socket> listeners_;  ///< the last one is the local one
  std::vector<net::Address> addresses_;
  rendezvous::SparingLog dropped_;
  std::optional<Reception> reception_;  ///< until nobody is taken any more
  std::optional<Deadline::Clock::time_point> accept_again_at_;
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace trireme::ps
