// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/rendezvous/store.hpp"
#include "trireme/world/server_directory.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace trireme {

/// The cards of parameter servers in a store. A key is set once, so each life of a server has its own, and a counter says which is
/// the newest. One thread.
class ServerListing {
 public:
  void publish(rendezvous::Store& store, const ps::ServerCard& card) const;
  /// Those of servers 0 to `servers` - 1 that no card is known of. Errors: corrupt for what is no card.
  std::vector<std::uint32_t> missing(rendezvous::Store& store, std::uint32_t servers);
  /// The newest there are; where the store does not answer any more, as they were.
  std::vector<ps::ServerCard> current(rendezvous::Store& store, std::uint32_t servers);
  std::vector<ps::ServerCard> cards() const;

  void publish(rendezvous::Store& store, const JobShape& shape) const;
  std::uint32_t workers_ended(rendezvous::Store& store, std::uint32_t workers);
  void note_ended_server(rendezvous::Store& store) const;
  std::uint32_t servers_ended(rendezvous::Store& store) const;
  JobShape await_shape(rendezvous::Store& store, Deadline deadline) const;

 private:
  struct Known {
    std::int64_t life = 0;
    ps::ServerCard card{};
    bool is_gone = false;  ///< that life is over, as somebody knows
    bool is_there() const { return life != 0 && !is_gone; }
  };
  bool look(rendezvous::Store& store, std::uint32_t server);

  std::map<std::uint32_t, Known> known_;
  std::set<std::uint32_t> ended_workers_;
};

}  // namespace trireme
