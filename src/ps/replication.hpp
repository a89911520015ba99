// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/shard.hpp"
#include "ps/view.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace trireme::ps {

/// The keys of one server in one event loop, as one server sees them: which view of them it knows, whether it serves them, which
/// decisions were made, and what may not be said yet.
///
/// As the primary, what is said about a decision waits until the replica has it. A replica that is lost is waited for until it is
/// decided that it is none any more: it may be alive, and be asked to serve. A server that was given everything is a replica once
/// that is decided.
class Replication {
 public:
  /// Decisions as one primary sends them over one connection, behind all there was before.
  struct Stream {
    std::uint64_t view = 0, link = 0;
    auto operator<=>(const Stream&) const = default;
  };
  /// What came of a decision about the view.
  enum class Change : unsigned char {
    none,
    serves,   ///< this server, from now on
    deposed,  ///< another serves, which this one did
    joined,   ///< there is a replica
    refused,  ///< who asked this one to serve is to ask another
  };

  /// It serves, or does not, for ever.
  static Replication without_views(std::uint32_t server, bool serves) { return {server, {}, false, serves}; }
  /// As views say: `self` founds its own keys, unless an earlier process of it has.
  static Replication with_views(std::uint32_t server, Holder self) { return {server, self, true, false}; }

  std::uint32_t server() const { return server_; }
  const View& view() const { return view_; }
  std::uint64_t order() const { return order_; }
  bool serves() const { return serves_; }
  /// Where decisions go.
  std::optional<ConnectionId> target() const { return target_; }
  const Stream& stream() const { return stream_; }
  bool has_replica() const { return stage_ == Stage::joined; }
  /// An earlier process of this server was the only one that had them.
  bool is_lost() const;
  /// Who serves, or may, as far as is known here, if that is not this server and not `lost`, which whoever asks does not reach.
  std::optional<std::uint32_t> other(std::optional<std::uint32_t> lost) const;

  // --- views ---

  /// What is to be decided next, once; none: nothing, or it is under way.
  std::optional<View> propose();
  Change decided(const View& view, std::vector<Outgoing>& out);
  /// A server that knows tells.
  void learn(const View& view);
  /// Asked to serve. False: nothing is known of these keys here.
  bool ask_to_serve();
  bool is_asked() const { return is_asked_; }
  /// Another serves in a view behind the one in which this server does: it is to find out.
  bool is_overtaken(std::uint64_t view) const { return has_views_ && serves_ && view > view_.number; }
  void find_out() { finds_out_ = serves_; }
  /// What was before this process began has been found out, or needs not be.
  bool is_founded() const { return !has_views_ || (view_.number != 0 && !looks_); }
  /// In the first view nothing is served: a process that ends in it has held nothing, and another may found in its place.
  bool is_open() const { return !has_views_ || view_.number > 1; }
  /// Serves although there is no replica yet.
  void open_alone() { opens_ = true; }

  // --- as the primary ---

  /// The next decision. Returns its order; it goes to the target, if there is one.
  std::uint64_t decide(WorkerId worker, const Control& control, std::shared_ptr<const Payload> payload,
                       std::shared_ptr<void> room, std::vector<Outgoing>& out);
  /// Says it once the replica has all decisions up to `order`.
  void say(std::uint64_t order, Outgoing outgoing, std::vector<Outgoing>& out);
  void acknowledged(std::uint64_t order, const Holder& by, std::vector<Outgoing>& out);
  /// The server that has not acknowledged all that was decided; none: there is none, or nothing waits for it.
  std::optional<std::uint32_t> awaited() const {
    if (held_.empty() || !view_.replica) return std::nullopt;
    return view_.replica->server;
  }
  /// Whether there is none, and one may be had over that connection.
  bool lacks_replica(ConnectionId over) const {
    return has_views_ && serves_ && stage_ == Stage::alone && refused_by_ != over;
  }
  /// From here on decisions go there; what was decided before counts as had once `order()` is acknowledged.
  void begin(ConnectionId over);
  /// The target is lost, or does not follow.
  void target_lost(std::vector<Outgoing>& out);

  // --- as who does not serve ---

  /// A transfer begins or goes on. False: it is of a stream that is over.
  bool receive(const Stream& stream);
  void received(std::uint64_t order) {
    order_ = order;
    receives_ = false;
  }
  bool follows(const Stream& stream) const { return !serves_ && !receives_ && stream.view != 0 && stream == stream_; }
  void follow(std::uint64_t order) { order_ = order; }

 private:
  enum class Stage : unsigned char {
    alone,     ///< there is no replica
    giving,    ///< a server is given everything, and is none yet
    settling,  ///< it has everything: that it is the replica is to be decided
    joined,    ///< it is
    doubtful,  ///< it may be, and is not reached: that it is none is to be decided
  };
  /// What is said then, if anything, and room that is given back.
  struct Held {
    std::optional<Outgoing> outgoing{};
    std::shared_ptr<void> room{};
  };
  Replication(std::uint32_t server, Holder self, bool has_views, bool serves)
      : server_(server), self_(self), has_views_(has_views), serves_(serves) {}
  View next(const Holder& primary, std::optional<Holder> replica) const {
    return {.server = server_, .number = view_.number + 1, .primary = primary, .replica = replica};
  }
  /// The same members again: decided as it is only where the view that is known is the last.
  View same_again() const {
    View view = next(view_.primary, view_.replica);
    view.by = self_;
    return view;
  }
  void release(std::uint64_t order, std::vector<Outgoing>& out);

  std::uint32_t server_;
  Holder self_;
  bool has_views_;
  bool serves_;
  View view_{};
  std::optional<View> proposed_{};  ///< and not decided
  bool looks_ = false;              ///< for the last view: another has founded
  bool is_asked_ = false;           ///< to serve
  bool opens_ = false;              ///< without a replica
  bool finds_out_ = false;          ///< whether it still serves
  std::uint64_t order_ = 0;

  Stage stage_ = Stage::alone;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t begun_at_ = 0;  ///< the order at which the target was given everything
  Holder candidate_{};
  std::optional<ConnectionId> target_{}, refused_by_{};
  Stream stream_{};  ///< own, or the one that is followed
  std::uint64_t links_ = 0;
  std::multimap<std::uint64_t, Held> held_;

  bool receives_ = false;
};

}  // namespace trireme::ps
