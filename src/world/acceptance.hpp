// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rendezvous/sparing_log.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/log.hpp"
#include "trireme/transport/transport.hpp"
#include "world/admissions.hpp"
#include "world/control_relay.hpp"
#include "world/links.hpp"
#include "world/peer_card.hpp"
#include "world/reversals.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace trireme {

/// Takes the connections of the ranks that are expected, and connects to those of them that ask for it because they could
/// not reach this one.
class Acceptance {
 public:
  Acceptance(const std::vector<std::unique_ptr<transport::Transport>>& transports, const std::vector<PeerCard>& cards,
             int rank, ControlRelay& control, Reversals& reversals, const Log& log);

  /// `why`: what this rank has tried in vain before.
  void expect(int peer, std::string why = {}) {
    welcome_.insert(peer);
    expected_[peer] = std::move(why);
  }
  /// Until all who are expected have a link.
  /// Errors: timeout naming those who are missing; the verdict.
  void run(Links& links, Deadline deadline);

 private:
  /// A peer that asked this rank to connect.
  struct Reversed {
    std::string theirs;  ///< what the peer has tried
    std::string own;     ///< what has failed on this side
    Deadline::Clock::time_point next_try{};
    bool under_way = false;
  };

  void wait_and_take(Deadline deadline);
  void look_for_requests();
  void dial_reversed(Deadline deadline);
  void seat(Links& links, Admissions::Guest guest);
  [[noreturn]] void fail_late() const;

  const std::vector<PeerCard>& cards_;
  const int rank_;
  ControlRelay& control_;
  Reversals& reversals_;
  Log log_;
  rendezvous::SparingLog refused_;
  std::vector<transport::SocketTransport*> transports_;
  std::set<int> welcome_;                // who may connect
  std::map<int, std::string> expected_;  // those of them without a link
  std::map<int, Reversed> reversed_;
  Deadline::Clock::time_point next_look_;
  Admissions admissions_;
};

}  // namespace trireme
