// SPDX-License-Identifier: Apache-2.0
#include "ps/replication.hpp"

#include "ps/wire.hpp"

#include <algorithm>
#include <utility>

namespace trireme::ps {

std::uint64_t Replication::decide(WorkerId worker, const Control& control, std::shared_ptr<const Payload> payload,
                                  std::shared_ptr<void> room, std::vector<Outgoing>& out) {
  std::vector<std::byte> inner;
  if (replica_) inner = encode(control);  // may refuse, and then nothing has been decided
  ++order_;
  if (!replica_) return order_;
  out.push_back(
      {.to = *replica_,
       .control =
           Replicate{.server = server_, .view = view_, .order = order_, .worker = worker, .inner = std::move(inner)},
       .payload = std::move(payload)});
  // The payload may lie in a queue until the replica has it.
  if (room) held_.emplace(order_, Held{.room = std::move(room)});
  return order_;
}

void Replication::say(std::uint64_t order, Outgoing outgoing, std::vector<Outgoing>& out) {
  if (!replica_ || order <= acknowledged_) {
    out.push_back(std::move(outgoing));
  } else {
    held_.emplace(order, Held{.outgoing = std::move(outgoing)});
  }
}

void Replication::acknowledged(std::uint64_t order, std::vector<Outgoing>& out) {
  acknowledged_ = std::max(acknowledged_, std::min(order, order_));
  release(acknowledged_, out);
}

void Replication::release(std::uint64_t order, std::vector<Outgoing>& out) {
  const auto end = held_.upper_bound(order);
  for (auto each = held_.begin(); each != end; ++each) {
    if (each->second.outgoing) out.push_back(std::move(*each->second.outgoing));
  }
  held_.erase(held_.begin(), end);
}

void Replication::end(std::vector<Outgoing>& out) {
  replica_.reset();
  release(order_, out);
}

void Replication::depose() {
  serves_ = false;
  replica_.reset();
  held_.clear();
}

void Replication::take_over(std::uint64_t view) {
  view_ = view;
  serves_ = true;
  replica_.reset();
}

void Replication::follow(std::uint64_t view, std::uint64_t order) {
  view_ = view;
  order_ = order;
}

}  // namespace trireme::ps
