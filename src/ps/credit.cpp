// SPDX-License-Identifier: Apache-2.0
#include "ps/credit.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace trireme::ps {

/// Room reserved for a unit, while it is open or payloads of it are held.
struct Credit::Claim {
  Credit& credit;
  std::uint64_t bytes;
  Claim(Credit& credit_, std::uint64_t bytes_) : credit(credit_), bytes(bytes_) { credit.reserved_ += bytes; }
  ~Claim() { credit.reserved_ -= bytes; }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
};

class Credit::Room {
 public:
  Room(Credit& credit, std::uint32_t rank, std::uint64_t bytes, bool in_window, std::shared_ptr<Claim> claim)
      : credit_(credit), rank_(rank), bytes_(bytes), in_window_(in_window), claim_(std::move(claim)) {}
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    if (kept_) credit_.waiting_ -= bytes_;
    if (!in_window_) return;
    const auto account = credit_.accounts_.find(rank_);
    if (account == credit_.accounts_.end()) return;
    account->second.used -= bytes_;
    account->second.freed += bytes_;
  }

 private:
  friend class Credit;
  Credit& credit_;
  std::uint32_t rank_;
  std::uint64_t bytes_;
  bool in_window_;
  bool kept_ = false;
  std::shared_ptr<Claim> claim_;
};

Credit::Credit(std::uint64_t memory, std::uint32_t workers, std::uint64_t largest)
    : bounded_(memory != 0), largest_(largest), windows_(workers) {
  if (!bounded_) {
    window_ = std::numeric_limits<std::uint64_t>::max() / 2;
    return;
  }
  // Half for the windows, but never what the largest unit needs.
  const std::uint64_t for_windows = std::min(memory / 2, memory - std::min(memory, largest));
  window_ = for_windows / std::max<std::uint32_t>(workers, 1);
  pool_ = memory - window_ * workers;
}

Credit::~Credit() = default;

std::uint64_t Credit::welcome(std::uint32_t rank) {
  forget(rank);
  const auto known = accounts_.find(rank);
  if (known == accounts_.end()) {
    const bool has_window =
        !bounded_ || static_cast<std::uint64_t>(std::count_if(accounts_.begin(), accounts_.end(), [](const auto& each) {
                       return each.second.window != 0;
                     })) < windows_;
    accounts_[rank].window = has_window ? window_ : 0;
  }
  Account& account = accounts_[rank];
  account.present = true;
  account.freed = 0;
  return account.window - account.used;
}

void Credit::forget(std::uint32_t rank) {
  std::erase_if(offers_, [&](const auto& each) { return each.first.rank == rank; });
  std::erase_if(given_, [&](const auto& each) { return each.first.rank == rank; });
  std::erase_if(claims_, [&](const auto& each) { return each.first.owner == rank; });
  const auto account = accounts_.find(rank);
  if (account == accounts_.end()) return;
  account->second.present = false;
  account->second.freed = 0;
  if (account->second.used == 0) accounts_.erase(account);
}

void Credit::forget_key(std::uint32_t key) {
  std::erase_if(offers_, [&](const auto& each) { return each.first.key == key; });
  for (auto& [given, claim] : given_) {
    if (given.key == key) claim.reset();
  }
  std::erase_if(claims_, [&](const auto& each) { return each.first.index == key; });
}

void Credit::offer(std::uint32_t rank, std::uint32_t key, const Unit& unit, std::uint64_t unit_bytes, bool late) {
  if (late || !bounded_) {
    given_[{rank, key, unit.step}] = nullptr;
    said_.push_back({.rank = rank, .for_offer = true, .key = key, .step = unit.step});
  } else {
    offers_[{unit, rank, key}] = unit_bytes;
  }
}

std::shared_ptr<Credit::Room> Credit::admit(std::uint32_t rank, std::uint32_t key, std::uint64_t step,
                                            std::uint64_t bytes) {
  std::erase_if(offers_, [&](const auto& each) {
    return each.first.rank == rank && each.first.key == key && each.first.unit.step == step;
  });
  const auto given = given_.find({rank, key, step});
  if (given != given_.end()) {
    auto room = std::make_shared<Room>(*this, rank, bytes, false, std::move(given->second));
    given_.erase(given);
    return room;
  }
  Account& account = accounts_[rank];
  if (bytes > account.window - account.used) return nullptr;
  account.used += bytes;
  return std::make_shared<Room>(*this, rank, bytes, true, nullptr);
}

std::shared_ptr<Credit::Room> Credit::admit_replicated(std::uint64_t bytes) {
  return std::make_shared<Room>(*this, all, bytes, false, nullptr);
}

void Credit::keep(Room& room) {
  if (std::exchange(room.kept_, true)) return;
  waiting_ += room.bytes_;
  most_waiting_ = std::max(most_waiting_, waiting_);
}

void Credit::close(const Unit& unit) {
  if (const auto claim = claims_.find(unit); claim != claims_.end()) {
    // What was granted and has not come is late, too: nothing of it is kept, so no room is.
    for (auto& [given, its] : given_) {
      if (its == claim->second) its.reset();
    }
    claims_.erase(claim);
  }
  // Who has not sent yet may still: it is late, and does not wait.
  for (auto each = offers_.lower_bound({unit, 0, 0}); each != offers_.end() && each->first.unit == unit;) {
    const Offered late = each->first;
    each = offers_.erase(each);
    offer(late.rank, late.key, unit, 0, true);
  }
}

void Credit::step_closed(std::uint64_t step) {
  const auto open = open_steps_.find(step);
  if (open != open_steps_.end() && --open->second == 0) open_steps_.erase(open);
}

std::uint64_t Credit::earliest_step() const {
  std::uint64_t step = std::numeric_limits<std::uint64_t>::max();
  if (!offers_.empty()) step = std::min(step, offers_.begin()->first.unit.step);
  if (!claims_.empty()) step = std::min(step, claims_.begin()->first.step);
  if (!open_steps_.empty()) step = std::min(step, open_steps_.begin()->first);
  return step;
}

bool Credit::reserve(const Unit& unit, std::uint64_t bytes, std::uint64_t earliest) {
  // Units of one worker wait for nobody else's: they need no place kept.
  const std::uint64_t kept_back = unit.owner == all && unit.step > earliest ? largest_ : 0;
  if (bytes + kept_back > pool_ - reserved_) return false;
  claims_[unit] = std::make_shared<Claim>(*this, bytes);
  return true;
}

std::vector<Credit::Granted> Credit::settle() {
  const std::uint64_t earliest = earliest_step();
  bool full = false;
  for (auto each = offers_.begin(); each != offers_.end();) {
    const auto& [offered, bytes] = *each;
    // No later unit begins before an earlier one; what has begun is completed.
    if (!claims_.contains(offered.unit)) full = full || !reserve(offered.unit, bytes, earliest);
    const auto claim = claims_.find(offered.unit);
    if (claim == claims_.end()) {
      ++each;
      continue;
    }
    given_[{offered.rank, offered.key, offered.unit.step}] = claim->second;
    said_.push_back({.rank = offered.rank, .for_offer = true, .key = offered.key, .step = offered.unit.step});
    each = offers_.erase(each);
  }
  for (auto each = accounts_.begin(); each != accounts_.end();) {
    auto& [rank, account] = *each;
    const std::uint64_t freed = std::exchange(account.freed, 0);
    if (freed != 0 && account.present && bounded_) said_.push_back({.rank = rank, .bytes = freed});
    each = !account.present && account.used == 0 ? accounts_.erase(each) : std::next(each);
  }
  return std::exchange(said_, {});
}

}  // namespace trireme::ps
