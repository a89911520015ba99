// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/job_key.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/doorbell.hpp"
#include "trireme/transport/endpoint.hpp"
#include "trireme/transport/mem.hpp"
#include "trireme/transport/shm.hpp"
#include "trireme/transport/tcp.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace trireme::testing {

/// What an endpoint's listener was told.
struct Heard final : transport::EndpointListener {
  struct Mismatch {
    int peer;
    transport::Stamp ours, theirs;
  };
  std::vector<int> unexpected_from;
  std::vector<Mismatch> mismatches;
  std::vector<std::pair<int, transport::Stamp>> notes;
  std::vector<std::pair<int, transport::LinkState>> ended;
  std::vector<std::string> corrupt;
  std::vector<std::size_t> overrun_by;

  void unexpected(int peer, const transport::MessageKey&, const transport::Stamp&) noexcept override {
    unexpected_from.push_back(peer);
  }
  void mismatched(int peer, const transport::MessageKey&, const transport::Stamp& ours,
                  const transport::Stamp& theirs) noexcept override {
    mismatches.push_back({peer, ours, theirs});
  }
  void noted(int peer, std::uint8_t, const transport::MessageKey&, const transport::Stamp& theirs) noexcept override {
    notes.emplace_back(peer, theirs);
  }
  void peer_ended(int peer, transport::LinkState state, int) noexcept override { ended.emplace_back(peer, state); }
  void corrupted(int, std::string_view what) noexcept override { corrupt.emplace_back(what); }
  void overrun(int, const transport::MessageKey&, std::size_t messages) noexcept override {
    overrun_by.push_back(messages);
  }
};

/// Several ranks of one process over a transport named "mem", "shm" or "tcp", connected and driven from one thread; "tcp3"
/// is tcp with three flows to each peer.
class Endpoints {
 public:
  Endpoints(const std::string& transport, int ranks, transport::Endpoint::Options options = {},
            transport::TcpOptions tcp = {})
      : network_(ranks) {
    if (transport == "tcp3") tcp.flows = 3;
    const auto key = net::JobKey::random();
    for (int rank = 0; rank < ranks; ++rank) {
      members_.push_back({.job_id = "test",
                          .epoch = 0,
                          .rank = rank,
                          .world_size = ranks,
                          .key = key,
                          .arena = std::make_shared<transport::Arena>(Bytes{64u << 20}),
                          .doorbell = std::make_shared<transport::Doorbell>()});
      const auto& self = members_.back();
      transports_.push_back(transport == "mem"   ? transport::make_mem_transport(network_, self)
                            : transport == "shm" ? transport::make_shm_transport(self)
                                                 : transport::make_tcp_transport(self, tcp));
      endpoints_.push_back(std::make_unique<transport::Endpoint>(rank, ranks, self.doorbell, options));
      heard_.push_back(std::make_unique<Heard>());
      endpoints_.back()->set_listener(heard_.back().get());
    }
    const Deadline deadline = Deadline::after(std::chrono::seconds(20));
    for (int high = 1; high < ranks; ++high) {
      for (int low = 0; low < high; ++low) {
        std::unique_ptr<transport::Link> accepted;
        auto& acceptor = *transports_[index(low)];
        std::thread accepting;
        if (acceptor.listening_descriptor() >= 0) {
          accepting = std::thread([&] {
            std::string refusal;
            while (!accepted && refusal.empty()) accepted = acceptor.accept(deadline, refusal).second;
          });
        }
        auto connected = transports_[index(high)]->connect(low, acceptor.card(), deadline);
        if (accepting.joinable()) {
          accepting.join();
        } else {
          accepted = acceptor.connect(high, transports_[index(high)]->card(), deadline);
        }
        endpoints_[index(high)]->attach(low, std::move(connected));
        endpoints_[index(low)]->attach(high, std::move(accepted));
      }
    }
  }

  transport::Endpoint& operator[](int rank) { return *endpoints_[index(rank)]; }
  Heard& heard(int rank) { return *heard_[index(rank)]; }
  transport::Arena& arena(int rank) { return *members_[index(rank)].arena; }
  std::shared_ptr<transport::Arena> arena_of(int rank) { return members_[index(rank)].arena; }
  /// Destroys a rank without a goodbye, as a crash would.
  void crash(int rank) {
    endpoints_[index(rank)].reset();
    transports_[index(rank)].reset();
  }

  /// Drives all ranks until `done` or 10 s have passed; true if done.
  template <class Done>
  bool drive(Done done) {
    const Deadline deadline = Deadline::after(std::chrono::seconds(10));
    while (!done()) {
      bool moved = false;
      for (auto& each : endpoints_) moved |= each && each->progress();
      if (!moved && deadline.passed()) return false;
    }
    return true;
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  transport::MemNetwork network_;
  std::vector<transport::Membership> members_;
  std::vector<std::unique_ptr<transport::Transport>> transports_;
  std::vector<std::unique_ptr<Heard>> heard_;
  std::vector<std::unique_ptr<transport::Endpoint>> endpoints_;
};

}  // namespace trireme::testing
