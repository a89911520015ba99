// SPDX-License-Identifier: Apache-2.0
#include "world/links.hpp"

#include "trireme/base/error.hpp"
#include "world/acceptance.hpp"
#include "world/reversals.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

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

/// How long an address is tried before the peer is asked to connect instead. What is refused or unanswered now may be a
/// peer with many guests; to ask for nothing does no harm.
constexpr milliseconds first_patience{5000};
constexpr milliseconds later_patience{1000};

/// Connects by steps short enough to hear a verdict between them. A connection that ends in its handshake is made anew: the
/// peer may have been too busy with strangers; if it is gone, the verdict says so. Null, with the reason in `why`, where
/// no connection was to be had for the time of `limit`.
std::unique_ptr<transport::Link> connect(transport::SocketTransport& transport, int peer, std::string_view card,
                                         ControlRelay& control, Deadline deadline, std::optional<milliseconds> limit,
                                         std::string& why) {
  constexpr milliseconds longest_step{4000};
  const auto from_now = [](milliseconds time) { return Deadline::at(Deadline::Clock::now() + time); };
  std::optional<Deadline> unreachable;
  if (limit) unreachable = from_now(*limit);
  for (milliseconds step{100};; step = std::min(step + step / 4, longest_step)) {
    control.check();
    bool reached = false;
    try {
      const auto step_end = Deadline::at(std::min(deadline.moment(), Deadline::Clock::now() + step));
      auto socket = transport.reach(peer, card, step_end);
      reached = true;
      const ControlRelay::Severing severing(control, socket);
      return transport.introduce(peer, std::move(socket), deadline);
    } catch (const Exception& exception) {
      control.check();
      const ErrorCode code = exception.error().code;
      const bool may_pass = code == ErrorCode::timeout || code == ErrorCode::closed || code == ErrorCode::peer_lost;
      if (!may_pass || deadline.passed()) throw;
      if (reached && limit) unreachable = from_now(*limit);
      if (unreachable && unreachable->passed()) {
        why = exception.error().message;
        return nullptr;
      }
    }
    std::this_thread::sleep_for(std::min(step / 10, milliseconds(deadline.milliseconds_left())));
  }
}

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

std::string describe(int rank, const std::vector<PeerCard>& cards) {
  return "rank " + std::to_string(rank) + " on " + cards[static_cast<std::size_t>(rank)].host;
}

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
                  const Log& log, rendezvous::Store* store) {
  const int ranks = static_cast<int>(cards.size());
  Links result;
  result.links.resize(cards.size());
  result.transports.assign(cards.size(), "self");
  Reversals reversals(store, control.epoch(), rank);
  Acceptance acceptance(transports, cards, rank, control, reversals, log);
  milliseconds longest_patience = first_patience;
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
      acceptance.expect(peer);
      continue;
    }
    const auto& card = cards[index].transports.at(std::string(transport->name()));
    try {
      if (transport->by_sockets() == nullptr) {
        result.links[index] = transport->connect(peer, card, deadline);
        continue;
      }
      std::optional<milliseconds> limit;
      if (reversals.possible()) limit = std::min(longest_patience, milliseconds(deadline.milliseconds_left()) / 8);
      std::string why;
      result.links[index] = connect(*transport->by_sockets(), peer, card, control, deadline, limit, why);
      if (result.links[index]) continue;
      longest_patience = later_patience;  // likely not the only one behind that wall
      reversals.ask(peer, why);
      acceptance.expect(peer, why);
    } catch (const Exception& exception) {
      control.check();
      Error error = exception.error();
      error.message = "cannot connect to " + describe(peer, cards) + ": " + error.message;
      throw Exception(std::move(error));
    }
  }
  acceptance.run(result, deadline);
  return result;
}

}  // namespace trireme
