// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace trireme::ps {

/// Who may send how much, so that payloads that wait for others stay within a bound and never for ever.
///
/// A worker's window is room that it uses unasked. Beyond it offers are granted, in the order (step, priority): the first grant
/// for a unit (a sum, or what one worker updates at once) reserves room for all that can come of it, so what has begun can always
/// be completed; and the last place for one unit is kept for the earliest step under way, which later ones may wait for.
/// Shape: memory is at least one unit, or 0: then there is no bound.
class Credit {
 public:
  /// What is filled as one; the order in which it is wanted. `owner`: the rank it belongs to, or all.
  struct Unit {
    std::uint64_t step = 0;
    std::uint32_t priority = 0;
    std::uint32_t index = 0;  ///< its first key
    std::uint32_t owner = all;
    auto operator<=>(const Unit&) const = default;
  };
  static constexpr std::uint32_t all = ~0u;

  /// Room that one payload takes; given back when the last holder lets go.
  class Room;
  /// So much of a rank's window is free again; or its offer is granted.
  struct Granted {
    std::uint32_t rank = 0;
    std::uint64_t bytes = 0;
    bool for_offer = false;
    std::uint32_t key = 0;
    std::uint64_t step = 0;
  };

  /// `largest`: bytes of the largest unit; `workers`: for how many there are windows.
  Credit(std::uint64_t memory, std::uint32_t workers, std::uint64_t largest);
  ~Credit();

  /// A worker (re)connects. Returns what its window has free.
  std::uint64_t welcome(std::uint32_t rank);
  /// Its connection is gone: what it offered and was granted is void.
  void forget(std::uint32_t rank);
  /// It is not served here any more: what was offered is void, and no room is kept for what was granted. That may come all the same,
  /// and then has used nothing of a window.
  void forget_key(std::uint32_t key);
  /// `unit_bytes`: all that can come of the unit; `late`: nothing waits for it any more.
  void offer(std::uint32_t rank, std::uint32_t key, const Unit& unit, std::uint64_t unit_bytes, bool late);
  /// A payload has come, by grant or in the window. Null: it may not have been sent.
  std::shared_ptr<Room> admit(std::uint32_t rank, std::uint32_t key, std::uint64_t step, std::uint64_t bytes);
  /// A payload of a replica: its primary has seen to the bound.
  std::shared_ptr<Room> admit_replicated(std::uint64_t bytes);
  /// The payload stays, to wait for others.
  void keep(Room& room);
  /// Nothing more comes of the unit.
  void close(const Unit& unit);
  /// Contributions for `step` wait here (opened) or no longer do.
  void step_opened(std::uint64_t step) { ++open_steps_[step]; }
  void step_closed(std::uint64_t step);

  /// Grants offers that have become possible, and returns what is to be said since the last call.
  std::vector<Granted> settle();
  std::uint64_t waiting() const { return waiting_; }
  std::uint64_t most_waiting() const { return most_waiting_; }

 private:
  struct Claim;
  struct Offered {
    Unit unit;
    std::uint32_t rank = 0;
    std::uint32_t key = 0;
    auto operator<=>(const Offered&) const = default;
  };
  struct Given {
    std::uint32_t rank = 0;
    std::uint32_t key = 0;
    std::uint64_t step = 0;
    auto operator<=>(const Given&) const = default;
  };
  std::uint64_t earliest_step() const;
  bool reserve(const Unit& unit, std::uint64_t bytes, std::uint64_t earliest);

  bool bounded_;
  std::uint64_t largest_;
  std::uint64_t window_ = 0;  ///< of each worker
  std::uint64_t pool_ = 0;    ///< for offers
  std::uint32_t windows_;
  std::uint64_t reserved_ = 0;
  std::uint64_t waiting_ = 0, most_waiting_ = 0;
  struct Account {
    std::uint64_t window = 0;
    std::uint64_t used = 0;
    std::uint64_t freed = 0;  ///< since the last settle()
    bool present = false;
  };
  std::map<std::uint32_t, Account> accounts_;
  std::map<Unit, std::shared_ptr<Claim>> claims_;
  std::map<Offered, std::uint64_t> offers_;            ///< bytes of the unit
  std::map<Given, std::shared_ptr<Claim>> given_;      ///< granted, not come yet
  std::map<std::uint64_t, std::uint64_t> open_steps_;  ///< how many units of a step have begun
  std::vector<Granted> said_;
};

}  // namespace trireme::ps
