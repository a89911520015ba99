// SPDX-License-Identifier: Apache-2.0
#include "world/links.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <poll.h>

namespace trireme {
namespace {

transport::Transport* transport_to(const std::vector<std::unique_ptr<transport::Transport>>& transports,
                                   const PeerCard& card) {
  for (const auto& each : transports) {
    const auto found = card.transports.find(std::string(each->name()));
    if (found != card.transports.end() && each->reaches(found->second)) return each.get();
  }
  return nullptr;
}

}  // namespace

Links connect_all(const std::vector<std::unique_ptr<transport::Transport>>& transports,
                  const std::vector<PeerCard>& cards, int rank, Deadline deadline, const Log& log) {
  const int ranks = static_cast<int>(cards.size());
  Links result;
  result.links.resize(cards.size());
  result.transports.assign(cards.size(), "self");
  int to_accept = 0;
  for (int peer = 0; peer < ranks; ++peer) {
    if (peer == rank) continue;
    const auto index = static_cast<std::size_t>(peer);
    transport::Transport* transport = transport_to(transports, cards[index]);
    if (transport == nullptr) {
      fail(ErrorCode::unsupported, "no transport reaches rank " + std::to_string(peer) + " on " + cards[index].host +
                                       "; TRIREME_TRANSPORT=shm needs all ranks on one host");
    }
    result.transports[index] = transport->name();
    if (peer < rank || transport->listening_descriptor() < 0) {
      const auto card = cards[index].transports.at(std::string(transport->name()));
      result.links[index] = transport->connect(peer, card, deadline);
    } else {
      ++to_accept;
    }
  }

  std::vector<pollfd> polled;
  for (const auto& each : transports) polled.push_back({each->listening_descriptor(), POLLIN, 0});
  while (to_accept > 0) {
    const int ready = ::poll(polled.data(), polled.size(), deadline.milliseconds_left());
    if (ready < 0 && errno != EINTR) fail_system("poll", errno);
    if (ready <= 0 && deadline.passed()) {
      std::string missing;
      for (int peer = rank + 1; peer < ranks; ++peer) {
        if (!result.links[static_cast<std::size_t>(peer)])
          missing += (missing.empty() ? "" : ", ") + std::to_string(peer);
      }
      fail(ErrorCode::timeout, "ranks " + missing + " have joined but did not connect to rank " + std::to_string(rank));
    }
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if ((polled[i].revents & POLLIN) == 0) continue;
      // One stranger must not take the time of all: a handshake gets five seconds.
      const auto turn = std::min(deadline.moment(), Deadline::Clock::now() + std::chrono::seconds(5));
      std::string refusal;
      auto [peer, link] = transports[i]->accept(Deadline::at(turn), refusal);
      if (!link) {
        if (!refusal.empty()) {
          log(LogLevel::warning, "rank " + std::to_string(rank) + ": refused a connection over " +
                                     std::string(transports[i]->name()) + ": " + refusal);
        }
        continue;
      }
      auto& slot = result.links[static_cast<std::size_t>(peer)];
      if (slot) {
        log(LogLevel::warning, "rank " + std::to_string(peer) + " connected to rank " + std::to_string(rank) +
                                   " twice; the second is dropped");
        continue;
      }
      slot = std::move(link);
      --to_accept;
    }
  }
  return result;
}

}  // namespace trireme
