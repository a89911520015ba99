// SPDX-License-Identifier: Apache-2.0
#include "world/links.hpp"

#include "rendezvous/sparing_log.hpp"
#include "trireme/base/error.hpp"
#include "world/admissions.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

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

using std::chrono::milliseconds;

std::string describe(int peer, const std::vector<PeerCard>& cards) {
  return "rank " + std::to_string(peer) + " on " + cards[static_cast<std::size_t>(peer)].host;
}

/// Connects by steps short enough to hear a verdict between them. A connection that ends in its handshake is made anew: the
/// peer may have been too busy with strangers; if it is gone, the verdict says so.
std::unique_ptr<transport::Link> connect(transport::SocketTransport& transport, int peer, std::string_view card,
                                         ControlRelay& control, Deadline deadline) {
  constexpr milliseconds longest_step{4000};
  for (milliseconds step{100};; step = std::min(step + step / 4, longest_step)) {
    control.check();
    try {
      const auto step_end = Deadline::at(std::min(deadline.moment(), Deadline::Clock::now() + step));
      auto socket = transport.reach(peer, card, step_end);
      const ControlRelay::Severing severing(control, socket);
      return transport.introduce(peer, std::move(socket), deadline);
    } catch (const Exception& exception) {
      control.check();
      const ErrorCode code = exception.error().code;
      const bool may_pass = code == ErrorCode::timeout || code == ErrorCode::closed || code == ErrorCode::peer_lost;
      if (!may_pass || deadline.passed()) throw;
    }
    std::this_thread::sleep_for(std::min(step / 10, milliseconds(deadline.milliseconds_left())));
  }
}

/// Takes the connections of the higher ranks.
class Acceptance {
 public:
  Acceptance(const std::vector<std::unique_ptr<transport::Transport>>& transports, const std::vector<PeerCard>& cards,
             int rank, ControlRelay& control, const Log& log)
      : cards_(cards), rank_(rank), control_(control), refused_(log, "more connections were refused") {
    for (const auto& each : transports) {
      if (each->by_sockets() != nullptr) transports_.push_back(each->by_sockets());
    }
  }

  void run(Links& links, int to_accept, Deadline deadline) {
    while (to_accept > 0) {
      control_.check();
      if (deadline.passed()) fail_late(links);
      wait_and_take(deadline);
      for (Admissions::Guest& guest : admissions_.ready()) to_accept -= seat(links, std::move(guest));
    }
  }

 private:
  void wait_and_take(Deadline deadline) {
    // Without room the listeners wait: they would end every poll at once.
    const bool has_room = admissions_.has_room();
    std::vector<pollfd> polled{{control_.descriptor(), POLLIN, 0}, {admissions_.descriptor(), POLLIN, 0}};
    if (has_room) {
      for (const auto* each : transports_) polled.push_back({each->listening_descriptor(), POLLIN, 0});
    }
    const int ready = ::poll(polled.data(), polled.size(), deadline.milliseconds_left(has_room ? 1000 : 100));
    if (ready < 0 && errno != EINTR) fail_system("poll", errno);
    if (ready <= 0) return;
    for (std::size_t i = 2; i < polled.size(); ++i) {
      if ((polled[i].revents & POLLIN) == 0 || !admissions_.has_room()) continue;
      transport::SocketTransport& transport = *transports_[i - 2];
      if (auto socket = transport.take(Deadline::after(milliseconds(0)))) {
        admissions_.admit(transport, *std::move(socket), deadline);
      }
    }
  }

  /// How many more ranks are connected.
  int seat(Links& links, Admissions::Guest guest) {
    if (!guest.link) {
      if (!guest.refusal.empty()) {
        refused_.warn("rank " + std::to_string(rank_) + ": refused a connection over " + guest.transport + ": " +
                      guest.refusal);
      }
      return 0;
    }
    auto& slot = links.links[static_cast<std::size_t>(guest.peer)];
    const bool is_first = slot == nullptr;
    // A second one means that the peer has given the first one up.
    if (!is_first) refused_.warn(describe(guest.peer, cards_) + " has connected again; the new connection counts");
    slot = std::move(guest.link);
    return is_first ? 1 : 0;
  }

  [[noreturn]] void fail_late(const Links& links) const {
    std::string missing;
    for (std::size_t peer = static_cast<std::size_t>(rank_) + 1; peer < links.links.size(); ++peer) {
      if (!links.links[peer]) missing += (missing.empty() ? "" : ", ") + describe(static_cast<int>(peer), cards_);
    }
    fail(ErrorCode::timeout, missing + " joined but did not connect to rank " + std::to_string(rank_));
  }

  const std::vector<PeerCard>& cards_;
  const int rank_;
  ControlRelay& control_;
  rendezvous::SparingLog refused_;
  std::vector<transport::SocketTransport*> transports_;
  Admissions admissions_;
};

/// "rank 1", "ranks 1-3, 5".
std::string list_of(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t first = 0; first < ranks.size();) {
    std::size_t last = first;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    text += (first == 0 ? "" : ", ") + std::to_string(ranks[first]);
    if (last != first) text += (last == first + 1 ? ", " : "-") + std::to_string(ranks[last]);
    first = last + 1;
  }
  return text;
}

}  // namespace

std::string describe_ways(const Links& links, int rank) {
  std::vector<std::pair<std::string, std::vector<int>>> ways;  // in the order of their first rank
  for (std::size_t peer = 0; peer < links.links.size(); ++peer) {
    if (static_cast<int>(peer) == rank || !links.links[peer]) continue;
    const std::string route = links.links[peer]->route();
    const std::string way = links.transports[peer] + (route.empty() ? "" : ", " + route);
    auto known = std::find_if(ways.begin(), ways.end(), [&](const auto& each) { return each.first == way; });
    if (known == ways.end()) known = ways.insert(ways.end(), {way, {}});
    known->second.push_back(static_cast<int>(peer));
  }
  std::string text;
  for (const auto& [way, ranks] : ways) text += (text.empty() ? "" : "; ") + list_of(ranks) + " over " + way;
  return text;
}

Links connect_all(const std::vector<std::unique_ptr<transport::Transport>>& transports,
                  const std::vector<PeerCard>& cards, int rank, ControlRelay& control, Deadline deadline,
                  const Log& log) {
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
    if (peer > rank && transport->by_sockets() != nullptr) {
      ++to_accept;
      continue;
    }
    const auto& card = cards[index].transports.at(std::string(transport->name()));
    try {
      result.links[index] = transport->by_sockets() != nullptr
                                ? connect(*transport->by_sockets(), peer, card, control, deadline)
                                : transport->connect(peer, card, deadline);
    } catch (const Exception& exception) {
      control.check();
      Error error = exception.error();
      error.message = "cannot connect to " + describe(peer, cards) + ": " + error.message;
      throw Exception(std::move(error));
    }
  }
  Acceptance(transports, cards, rank, control, log).run(result, to_accept, deadline);
  return result;
}

}  // namespace trireme
