// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/shard.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace trireme::ps {

/// The keys of one server in one event loop, as one of the two that hold them sees them: whether it serves them, in which view,
/// which decisions were made, and what may not be said before the other has them.
class Replication {
 public:
  explicit Replication(std::uint32_t server, bool serves) : server_(server), serves_(serves) {}

  std::uint32_t server() const { return server_; }
  std::uint64_t view() const { return view_; }
  std::uint64_t order() const { return order_; }
  bool serves() const { return serves_; }
  std::optional<ConnectionId> replica() const { return replica_; }

  /// As the one that serves: the next decision. Returns its order; it goes to the replica, if there is one.
  std::uint64_t decide(WorkerId worker, const Control& control, std::shared_ptr<const Payload> payload,
                       std::shared_ptr<void> room, std::vector<Outgoing>& out);
  /// Says it once the replica has all decisions up to `order`.
  void say(std::uint64_t order, Outgoing outgoing, std::vector<Outgoing>& out);
  void acknowledged(std::uint64_t order, std::vector<Outgoing>& out);
  /// From here on decisions go there; what was decided before counts as had once `order()` is acknowledged.
  void begin(ConnectionId replica) {
    replica_ = replica;
    acknowledged_ = 0;
  }
  /// The other holds all this one has.
  void in_step() { acknowledged_ = order_; }
  /// There is no replica any more: nothing waits for it.
  void end(std::vector<Outgoing>& out);
  /// Another serves now: what was not had by the other is not said.
  void depose();
  /// Serves from now on, in `view`.
  void take_over(std::uint64_t view);

  /// As the one that does not serve: a decision came.
  void follow(std::uint64_t view, std::uint64_t order);
  void set_serves(bool serves) { serves_ = serves; }
  /// A transfer has begun and not ended: what is here is incomplete.
  bool receives() const { return receives_; }
  void set_receives(bool receives) { receives_ = receives; }

 private:
  /// What is said then, if anything, and room that is given back.
  struct Held {
    std::optional<Outgoing> outgoing{};
    std::shared_ptr<void> room{};
  };
  void release(std::uint64_t order, std::vector<Outgoing>& out);

  std::uint32_t server_;
  std::uint64_t view_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t acknowledged_ = 0;
  bool serves_;
  bool receives_ = false;
  std::optional<ConnectionId> replica_{};
  std::multimap<std::uint64_t, Held> held_;
};

}  // namespace trireme::ps
