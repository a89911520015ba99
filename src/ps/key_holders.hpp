// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/message.hpp"
#include "trireme/base/deadline.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace trireme::ps {

/// Who serves which keys, as a worker knows: for the keys of each server of the plan in each event loop, where what is wanted of them
/// goes, and who is to be asked to serve them when that one does not. Without sockets and threads.
class KeyHolders {
 public:
  using Clock = Deadline::Clock;
  /// What is known of the channel to a server in an event loop.
  class Ways {
   public:
    virtual ~Ways() = default;
    virtual bool is_welcome(std::uint32_t server, std::uint32_t loop) const = 0;
    virtual std::optional<Clock::time_point> lost_since(std::uint32_t server, std::uint32_t loop) const = 0;
    /// Its process has ended, and none is started in its place.
    virtual bool is_gone(std::uint32_t server) const = 0;
    /// Whether anything is wanted of it.
    virtual bool is_wanted(std::uint32_t server, std::uint32_t loop) const = 0;
  };
  struct Options {
    std::uint32_t servers = 1, loops = 1;
    bool replicas = false;                 ///< others may serve keys than the server whose they are
    std::chrono::milliseconds takeover{};  ///< so long a server is dialled before another one is asked
    std::chrono::milliseconds timeout{};   ///< so long they may be wanted and not served
  };
  KeyHolders(const Options& options, const Ways& ways);

  bool may_move() const { return options_.replicas && options_.servers > 1; }
  std::uint32_t of(std::uint32_t server, std::uint32_t loop) const { return at(server, loop).holder; }
  /// Who served them, and is not reached; or who is to.
  std::uint32_t lost(std::uint32_t server, std::uint32_t loop) const {
    return at(server, loop).lost.value_or(at(server, loop).holder);
  }

  /// `by` has said that it does not serve keys of `server`, and who may.
  void refused(std::uint32_t server, std::uint32_t loop, std::uint32_t by, const Failed& failed, Clock::time_point now);
  /// Somebody has answered for them. For how long they had not been served, if they had not.
  std::optional<Clock::duration> served(std::uint32_t server, std::uint32_t loop, Clock::time_point now);

  /// A server has ended, for good or to begin anew: what others have said of keys may be no more so.
  void forget_answers();

  /// What is to be done about keys now: `ask` is to be asked to serve them; or nobody has served them for too long; or they are
  /// lost: each server is gone, or has answered that it has nothing of them, since the last one ended.
  struct Look {
    std::optional<std::uint32_t> ask{};
    bool gives_up = false, are_lost = false;
  };
  Look look(std::uint32_t server, std::uint32_t loop, Clock::time_point now);
  /// It has been asked: from now on they are wanted of it. Whom the worker does not reach; and whether it is the first who is
  /// asked since they were served.
  struct Moved {
    std::optional<std::uint32_t> lost{};
    bool is_first = false;
  };
  Moved move(std::uint32_t server, std::uint32_t loop, std::uint32_t holder, Clock::time_point now);

 private:
  /// The keys of one server of the plan in one event loop, whoever serves them.
  struct Group {
    std::uint32_t holder = 0;
    std::uint64_t view = 0;
    std::optional<Clock::time_point> must_move_at{};  ///< since when the holder has said that it does not serve them
    std::optional<std::uint32_t> ask{};               ///< whom it named
    std::optional<std::uint32_t> lost{};              ///< who served them, and is not reached
    std::optional<Clock::time_point> lost_at{};       ///< until its keys are served again
    std::uint32_t asked = 0;                          ///< so many servers since
    Clock::time_point ask_again_at{};
    std::vector<bool> refused_by;  ///< who was asked to serve them and does not
  };
  Group& at(std::uint32_t server, std::uint32_t loop) { return groups_[server * options_.loops + loop]; }
  const Group& at(std::uint32_t server, std::uint32_t loop) const { return groups_[server * options_.loops + loop]; }
  bool is_lost(std::uint32_t server, std::uint32_t loop, Clock::time_point now) const;
  bool is_too_long(std::optional<Clock::time_point> began, const Group& keys, std::uint32_t loop,
                   Clock::time_point now) const;
  bool are_lost(const Group& keys, std::uint32_t loop) const;
  std::optional<std::uint32_t> next_holder(Group& keys, std::uint32_t loop, Clock::time_point now);

  const Options options_;
  const Ways& ways_;
  std::vector<Group> groups_;  ///< by server and loop
};

}  // namespace trireme::ps
