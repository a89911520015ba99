// SPDX-License-Identifier: Apache-2.0
#include "ps/replication.hpp"

#include "ps/wire.hpp"

#include <algorithm>
#include <utility>

namespace trireme::ps {

bool Replication::is_lost() const {
  return !serves_ && is_founded() && view_.number != 0 && view_.primary.server == self_.server &&
         view_.primary != self_ && !view_.replica;
}

std::optional<std::uint32_t> Replication::other(std::optional<std::uint32_t> lost) const {
  const auto is_other = [&](const Holder& holder) { return holder.server != self_.server && holder.server != lost; };
  if (view_.number == 0) return std::nullopt;
  if (is_other(view_.primary)) return view_.primary.server;
  if (view_.replica && is_other(*view_.replica)) return view_.replica->server;
  return std::nullopt;
}

std::optional<View> Replication::propose() {
  if (!has_views_ || proposed_) return std::nullopt;
  if (view_.number == 0) {
    if (server_ == self_.server) proposed_ = next(self_, std::nullopt);
  } else if (serves_) {
    const bool opens = stage_ == Stage::alone && opens_ && !is_open();
    if (stage_ == Stage::doubtful || opens) proposed_ = next(self_, std::nullopt);
    if (stage_ == Stage::settling) proposed_ = next(self_, candidate_);
    if (!proposed_ && finds_out_) proposed_ = same_again();
  } else if (is_asked_ && view_.replica == self_) {
    proposed_ = next(self_, std::nullopt);
  } else if (looks_ && !is_open() && view_.primary.server == self_.server) {
    proposed_ = next(self_, std::nullopt);
  } else if (is_asked_ || looks_) {
    proposed_ = same_again();
  }
  return proposed_;
}

Replication::Change Replication::decided(const View& view, std::vector<Outgoing>& out) {
  const std::optional<View> proposed = std::exchange(proposed_, std::nullopt);
  if (view.number <= view_.number) return Change::none;
  const bool is_first = view_.number == 0;
  view_ = view;
  finds_out_ = false;
  if (view.primary != self_) {
    if (serves_) {
      serves_ = false;
      stage_ = Stage::alone;
      target_.reset();
      held_.clear();  // what the other may not have is not said
      return Change::deposed;
    }
    const bool is_last = proposed == view;
    looks_ = (looks_ || is_first) && !is_last;
    if (!is_asked_ || !is_last) return Change::none;
    is_asked_ = false;
    return Change::refused;
  }
  looks_ = is_asked_ = false;
  refused_by_.reset();  // whoever did not know may know now
  if (!std::exchange(serves_, true)) {
    stage_ = Stage::alone;
    receives_ = false;
    target_.reset();
    return Change::serves;
  }
  if (view.replica) {
    // Or the connection to it has gone meanwhile: it is in doubt already.
    if (stage_ != Stage::settling) return Change::none;
    stage_ = Stage::joined;
    return Change::joined;
  }
  if (stage_ == Stage::doubtful) {
    stage_ = Stage::alone;
    release(order_, out);
  }
  return Change::none;
}

void Replication::learn(const View& view) {
  if (!serves_ && view.server == server_ && view.number > view_.number) view_ = view;
}

bool Replication::ask_to_serve() {
  if (!has_views_ || view_.number == 0) return false;
  return is_asked_ = true;
}

std::uint64_t Replication::decide(WorkerId worker, const Control& control, std::shared_ptr<const Payload> payload,
                                  std::shared_ptr<void> room, std::vector<Outgoing>& out) {
  std::vector<std::byte> inner;
  if (target_) inner = encode(control);  // may refuse, and then nothing has been decided
  ++order_;
  if (!target_) return order_;
  out.push_back({.to = *target_,
                 .control = Replicate{.server = server_,
                                      .view = stream_.view,
                                      .link = stream_.link,
                                      .order = order_,
                                      .worker = worker,
                                      .inner = std::move(inner)},
                 .payload = std::move(payload)});
  // The payload may lie in a queue until the replica has it.
  if (room) held_.emplace(order_, Held{.room = std::move(room)});
  return order_;
}

void Replication::say(std::uint64_t order, Outgoing outgoing, std::vector<Outgoing>& out) {
  const bool waits = stage_ == Stage::doubtful || (stage_ != Stage::alone && order > acknowledged_);
  if (waits) {
    held_.emplace(order, Held{.outgoing = std::move(outgoing)});
  } else {
    out.push_back(std::move(outgoing));
  }
}

void Replication::acknowledged(std::uint64_t order, const Holder& by, std::vector<Outgoing>& out) {
  acknowledged_ = std::max(acknowledged_, std::min(order, order_));
  if (stage_ == Stage::giving && acknowledged_ >= begun_at_) {
    candidate_ = by;
    stage_ = Stage::settling;
  }
  release(acknowledged_, out);
}

void Replication::begin(ConnectionId over) {
  target_ = over;
  stage_ = Stage::giving;
  acknowledged_ = 0;
  begun_at_ = order_;
  stream_ = {view_.number, ++links_};
}

void Replication::target_lost(std::vector<Outgoing>& out) {
  refused_by_ = std::exchange(target_, std::nullopt);
  if (stage_ == Stage::giving) {
    stage_ = Stage::alone;
    release(order_, out);
  } else if (stage_ != Stage::alone) {
    stage_ = Stage::doubtful;
  }
}

void Replication::release(std::uint64_t order, std::vector<Outgoing>& out) {
  const auto end = held_.upper_bound(order);
  for (auto each = held_.begin(); each != end; ++each) {
    if (each->second.outgoing) out.push_back(std::move(*each->second.outgoing));
  }
  held_.erase(held_.begin(), end);
}

bool Replication::receive(const Stream& stream) {
  if (serves_ || stream < stream_) return false;
  if (stream > stream_) {
    stream_ = stream;
    receives_ = true;
  }
  return receives_;
}

}  // namespace trireme::ps
