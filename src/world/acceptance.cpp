// SPDX-License-Identifier: Apache-2.0
#include "world/acceptance.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <poll.h>

namespace trireme {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds between_looks{1000};  // into the store, and none at all where everybody comes before the first
constexpr milliseconds between_tries{500};
constexpr milliseconds one_try{1000};  // of reaching a peer: meanwhile the others wait

}  // namespace

Acceptance::Acceptance(const std::vector<std::unique_ptr<transport::Transport>>& transports,
                       const std::vector<PeerCard>& cards, int rank, ControlRelay& control, Reversals& reversals,
                       const Log& log)
    : cards_(cards),
      rank_(rank),
      control_(control),
      reversals_(reversals),
      log_(log),
      refused_(log, "more connections were refused") {
  for (const auto& each : transports) {
    if (each->by_sockets() != nullptr) transports_.push_back(each->by_sockets());
  }
}

void Acceptance::run(Links& links, Deadline deadline) {
  next_look_ = Deadline::Clock::now() + between_looks;
  while (!expected_.empty()) {
    control_.check();
    if (deadline.passed()) fail_late();
    wait_and_take(deadline);
    for (Admissions::Guest& guest : admissions_.ready()) seat(links, std::move(guest));
    look_for_requests();
    dial_reversed(deadline);
  }
}

void Acceptance::wait_and_take(Deadline deadline) {
  // Without room the listeners wait: they would end every poll at once.
  const bool has_room = admissions_.has_room();
  std::vector<pollfd> polled{{control_.descriptor(), POLLIN, 0}, {admissions_.descriptor(), POLLIN, 0}};
  if (has_room) {
    for (const auto* each : transports_) polled.push_back({each->listening_descriptor(), POLLIN, 0});
  }
  const int longest = has_room && reversed_.empty() ? 1000 : 100;
  const int ready = ::poll(polled.data(), polled.size(), deadline.milliseconds_left(longest));
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

void Acceptance::look_for_requests() {
  const auto now = Deadline::Clock::now();
  if (expected_.empty() || now < next_look_) return;
  next_look_ = now + between_looks;
  for (Reversals::Request& request : reversals_.asked()) {
    if (request.peer <= rank_ || expected_.count(request.peer) == 0) continue;
    log_(LogLevel::info, describe(request.peer, cards_) + " cannot connect to " + describe(rank_, cards_) + " (" +
                             request.why + "): trying the other direction");
    reversed_[request.peer].theirs = std::move(request.why);
  }
}

void Acceptance::dial_reversed(Deadline deadline) {
  for (auto& [peer, state] : reversed_) {
    if (state.under_way || expected_.count(peer) == 0 || Deadline::Clock::now() < state.next_try) continue;
    if (!admissions_.has_room()) return;
    const auto& offered = cards_[static_cast<std::size_t>(peer)].transports;
    const auto fits = [&offered = offered](const transport::SocketTransport* each) {
      const auto card = offered.find(std::string(each->name()));
      return card != offered.end() && each->reaches(card->second);
    };
    const auto transport = std::find_if(transports_.begin(), transports_.end(), fits);
    if (transport == transports_.end()) continue;
    try {
      const auto until = Deadline::at(std::min(deadline.moment(), Deadline::Clock::now() + one_try));
      auto socket = (*transport)->reach(peer, offered.at(std::string((*transport)->name())), until);
      // Apart, as it may take the peer long to get to it: it connects to others first.
      admissions_.introduce(**transport, peer, std::move(socket), deadline);
      state.under_way = true;
    } catch (const Exception& exception) {
      if (exception.error().code != ErrorCode::timeout) throw;
      state.own = exception.error().message;
      state.next_try = Deadline::Clock::now() + between_tries;
    }
    return;  // one at a time: those who come wait meanwhile
  }
}

void Acceptance::seat(Links& links, Admissions::Guest guest) {
  if (guest.dialled >= 0) {
    auto& state = reversed_[guest.dialled];
    state.under_way = false;
    state.next_try = Deadline::Clock::now() + between_tries;
    if (!guest.link) {
      state.own = guest.refusal;
      return;
    }
  }
  if (!guest.link) {
    if (!guest.refusal.empty()) {
      refused_.warn("rank " + std::to_string(rank_) + ": refused a connection over " + guest.transport + ": " +
                    guest.refusal);
    }
    return;
  }
  if (welcome_.count(guest.peer) == 0) {
    refused_.warn("rank " + std::to_string(rank_) + ": refused a connection of rank " + std::to_string(guest.peer) +
                  ", which was not asked to connect");
    return;
  }
  if (expected_.erase(guest.peer) == 0) {
    // It has given the first one up.
    refused_.warn(describe(guest.peer, cards_) + " has connected again; the new connection counts");
  } else if (guest.peer < rank_) {
    log_(LogLevel::info, describe(guest.peer, cards_) + " has connected to " + describe(rank_, cards_) +
                             ", which could not connect to it");
  }
  links.links[static_cast<std::size_t>(guest.peer)] = std::move(guest.link);
}

void Acceptance::fail_late() const {
  std::string missing, tried;
  for (const auto& [peer, why] : expected_) {
    const std::string name = describe(peer, cards_);
    missing += (missing.empty() ? "" : ", ") + name;
    if (!why.empty()) tried += "; from " + describe(rank_, cards_) + ": " + why;
    const auto reversed = reversed_.find(peer);
    if (reversed == reversed_.end()) continue;
    tried += "; from " + name + ": " + reversed->second.theirs;
    if (!reversed->second.own.empty()) tried += "; from " + describe(rank_, cards_) + ": " + reversed->second.own;
  }
  fail(ErrorCode::timeout, missing + " joined but did not connect to " + describe(rank_, cards_) +
                               (tried.empty() ? "" : ", and could not be connected to") + tried);
}

}  // namespace trireme
