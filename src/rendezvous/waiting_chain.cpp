// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/waiting_chain.hpp"

#include <set>
#include <tuple>

namespace trireme::rendezvous {
namespace {

using Presence = Evidence::Presence;

/// Where a rank that waits stands.
struct Stand {
  Place place;
  std::vector<int> waits_for;
};

/// A rank where the walk ended, and the place in which it is waited for.
struct Finding {
  int strength = 0;  ///< 0: explains the wait; 1: only if nothing else does
  Place place;
  int rank = -1;
  Cause cause;
  bool operator<(const Finding& other) const {
    if (strength != other.strength) return strength < other.strength;
    if (place < other.place || other.place < place) return place < other.place;
    return std::tie(rank, cause.message) < std::tie(other.rank, other.cause.message);
  }
};

class Walk {
 public:
  explicit Walk(const Evidence& evidence) : evidence_(evidence) {
    for (const Evidence::Report& report : evidence.reports) {
      if (report.cause.code != ErrorCode::timeout) continue;
      Place place = place_of(report.cause);
      bool is_lower = !first_ || place < first_place_;
      bool is_equal = first_ && !(place < first_place_) && !(first_place_ < place);
      if (is_lower) roots_.clear();
      if (is_lower || is_equal) roots_.insert(report.reporter);
      if (is_lower || (is_equal && report_order(report) < report_order(*first_))) {
        first_ = &report;
        first_place_ = std::move(place);
      }
    }
  }

  Cause judge() {
    std::set<int> reached = roots_;
    std::vector<int> queue(roots_.begin(), roots_.end());
    for (std::size_t next = 0; next < queue.size(); ++next) {
      Stand stand = stand_of(queue[next]);
      for (int peer : stand.waits_for) {
        examine(peer, queue[next], stand.place);
        if (reached.insert(peer).second) queue.push_back(peer);
      }
    }
    if (std::optional<Cause> silent = silent_rank(reached)) return *silent;
    if (!findings_.empty() && findings_.begin()->strength == 0) return findings_.begin()->cause;
    if (std::optional<Cause> circle = find_circle()) return *circle;
    if (std::optional<Cause> behind = rank_behind()) return *behind;
    if (!findings_.empty()) return findings_.begin()->cause;
    return report_itself();
  }

 private:
  static std::tuple<int, std::int32_t, std::string_view> report_order(const Evidence::Report& report) {
    return {report.reporter, report.cause.member, report.cause.message};
  }

  /// Where `rank` waits and for whom. A rank whose answer says that it is in no operation, but which reported a timeout,
  /// has just given up that operation: its report counts.
  Stand stand_of(int rank) const {
    Stand stand;
    if (!evidence_.contains(rank)) return stand;
    const Status* status = evidence_.status_of(rank);
    if (status != nullptr && status->in_operation) {
      stand.place = {evidence_.epoch, status->communicator, status->operation, status->operation_name};
      stand.waits_for.assign(status->waiting_for.begin(), status->waiting_for.end());
    }
    for (const Evidence::Report& report : evidence_.reports) {
      if (report.reporter != rank || report.cause.code != ErrorCode::timeout || !stand.waits_for.empty()) continue;
      stand.place = place_of(report.cause);
      stand.waits_for.push_back(report.cause.member);
    }
    std::erase_if(stand.waits_for, [&](int peer) { return peer == rank || !evidence_.contains(peer); });
    std::sort(stand.waits_for.begin(), stand.waits_for.end());
    return stand;
  }

  /// Notes a finding if `rank`, whom `waiter` waits for in `place`, waits for nobody.
  void examine(int rank, int waiter, const Place& place) {
    const Evidence::Member& member = evidence_.member(rank);
    std::string who = evidence_.describe(rank);
    std::string operation = place.describe();
    if (!stand_of(rank).waits_for.empty() || evidence_.is_silent(rank)) return;
    if (member.presence == Presence::left) return note(0, place, departure_of(evidence_, rank, place));
    if (member.presence == Presence::lost) {
      return note(
          0, place,
          evidence_.blame(ErrorCode::peer_lost, rank, place, evidence_.describe_loss(rank) + ", during " + operation));
    }
    if (member.presence == Presence::absent) {
      return note(0, place,
                  evidence_.blame(ErrorCode::timeout, rank, place,
                                  who + " has not joined the world, and " + operation + " waits for it"));
    }
    const Status* answer = evidence_.status_of(rank);
    if (answer == nullptr) {
      // It reported a timeout without saying for whom it waits, or joined too late to be asked.
      if (evidence_.has_reported(rank)) return;
      return note(0, place, evidence_.blame(ErrorCode::timeout, rank, place, who + " has not called " + operation));
    }
    const Status& status = *answer;
    Place last{evidence_.epoch, status.communicator, status.operation, status.operation_name};
    bool same = status.communicator == place.communicator;
    bool has_called_any = status.in_operation || status.operation != 0 || !status.operation_name.empty();
    if (status.in_operation && same && status.operation == place.operation) {
      return note(0, place,
                  evidence_.blame(ErrorCode::timeout, rank, place,
                                  who + " makes no progress in " + operation + " though it waits for nobody"));
    }
    if (same && has_called_any && status.operation >= place.operation) {
      return note(1, place,
                  evidence_.blame(ErrorCode::timeout, rank, place,
                                  who + " has finished " + operation + ", but its bytes have not reached " +
                                      evidence_.describe(waiter) + ": look at the link between them"));
    }
    if (evidence_.has_reported(rank)) return;
    std::string state = !has_called_any       ? "it has called no operation yet"
                        : status.in_operation ? "it is in " + last.describe()
                                              : "its last operation was " + last.describe();
    note(0, place,
         evidence_.blame(ErrorCode::timeout, rank, place, who + " has not called " + operation + "; " + state));
  }

  void note(int strength, const Place& place, Cause cause) {
    int rank = cause.member;
    findings_.insert(Finding{strength, place, rank, std::move(cause)});
  }

  /// The lowest rank that does not answer, of those the reporters wait for if there is one.
  std::optional<Cause> silent_rank(const std::set<int>& reached) const {
    int named = -1;
    for (int rank = 0; evidence_.contains(rank); ++rank) {
      if (!evidence_.is_silent(rank)) continue;
      if (reached.count(rank) != 0) {
        named = rank;
        break;
      }
      if (named < 0) named = rank;
    }
    if (named < 0) return std::nullopt;
    return evidence_.blame(ErrorCode::timeout, named, first_place_,
                           evidence_.describe(named) + " does not answer: its process is stopped or hung, during " +
                               first_place_.describe());
  }

  /// From the lowest reporter always to the lowest rank waited for: where that comes round, the circle.
  std::optional<Cause> find_circle() const {
    std::vector<int> path;
    for (int rank = *roots_.begin();;) {
      auto seen = std::find(path.begin(), path.end(), rank);
      if (seen != path.end()) {
        path.erase(path.begin(), seen);
        break;
      }
      path.push_back(rank);
      Stand stand = stand_of(rank);
      if (stand.waits_for.empty()) return std::nullopt;
      rank = stand.waits_for.front();
    }
    std::rotate(path.begin(), std::min_element(path.begin(), path.end()), path.end());
    const Place place = stand_of(path.front()).place;
    const bool same = std::all_of(path.begin(), path.end(), [&](int rank) {
      const Place other = stand_of(rank).place;
      return !(other < place) && !(place < other);
    });
    std::string message =
        same ? "ranks wait for each other though all have called: " : "ranks wait for each other in a circle: ";
    for (int rank : path) {
      message += "rank " + std::to_string(rank) + " in " + stand_of(rank).place.describe() + " waits for ";
    }
    message += "rank " + std::to_string(path.front()) +
               (same ? "; what moves its bytes hangs" : "; issue operations in the same order on all ranks");
    return evidence_.blame(ErrorCode::timeout, path.front(), place, std::move(message));
  }

  /// Nobody said for whom it waits: the lowest rank that has not come as far as the reporters.
  std::optional<Cause> rank_behind() {
    if (!stand_of(*roots_.begin()).waits_for.empty()) return std::nullopt;
    std::set<Finding> before;
    before.swap(findings_);
    for (int rank = 0; evidence_.contains(rank); ++rank) {
      if (roots_.count(rank) == 0) examine(rank, *roots_.begin(), first_place_);
    }
    findings_.swap(before);
    if (before.empty() || before.begin()->strength != 0) return std::nullopt;
    return before.begin()->cause;
  }

  Cause report_itself() const {
    Cause cause = first_->cause;
    if (cause.member_host.empty() && evidence_.contains(cause.member))
      cause.member_host = evidence_.member(cause.member).host;
    if (cause.message.empty())
      cause.message = evidence_.describe(first_->reporter) + " waited too long in " + first_place_.describe();
    return cause;
  }

  const Evidence& evidence_;
  const Evidence::Report* first_ = nullptr;
  Place first_place_;
  std::set<int> roots_;
  std::set<Finding> findings_;
};

}  // namespace

Cause follow_waiting(const Evidence& evidence) { return Walk(evidence).judge(); }

Cause departure_of(const Evidence& evidence, int rank, const Place& place) {
  return evidence.blame(
      ErrorCode::peer_lost, rank, place,
      evidence.describe(rank) + " has left the world (its World was closed) before " + place.describe());
}

}  // namespace trireme::rendezvous
