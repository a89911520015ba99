// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/rendezvous/cause.hpp"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::rendezvous {

/// An operation's place in the order in which causes are ranked, and its name for messages.
struct Place {
  std::uint64_t epoch = 0;
  std::uint64_t communicator = 0;
  std::uint64_t operation = 0;
  std::string name{};

  /// "all_reduce #17 'bucket 0'", or "operation #17" where nobody told the name.
  std::string describe() const { return name.empty() ? "operation #" + std::to_string(operation) : name; }
  friend bool operator<(const Place& a, const Place& b) {
    if (a.epoch != b.epoch) return a.epoch < b.epoch;
    if (a.communicator != b.communicator) return a.communicator < b.communicator;
    return a.operation < b.operation;
  }
};

inline Place place_of(const Cause& cause) {
  return {cause.epoch, cause.communicator, cause.operation, cause.operation_name};
}

/// All that a coordinator knows of its world when it judges.
struct Evidence {
  enum class Presence : std::uint8_t { absent, present, left, lost };
  struct Member {
    Presence presence = Presence::absent;
    bool joined = false;  ///< has ever opened its control channel
    bool queried = false;
    std::string host{};
    std::string loss{};        ///< how it was lost, if anybody said so
    bool is_cut_off = false;   ///< it was lost because its host no longer answered
    bool exited_well = false;  ///< it was lost, yet its process ended with exit code 0
    std::optional<Status> status{};
  };
  struct Report {
    int reporter = -1;
    Cause cause{};
  };

  std::uint64_t epoch = 0;
  std::vector<Member> members{};
  std::vector<Report> reports{};

  bool contains(int rank) const { return rank >= 0 && static_cast<std::size_t>(rank) < members.size(); }
  const Member& member(int rank) const { return members[static_cast<std::size_t>(rank)]; }
  Member& member(int rank) { return members[static_cast<std::size_t>(rank)]; }
  bool has_reported(int rank) const {
    return std::any_of(reports.begin(), reports.end(), [&](const Report& report) { return report.reporter == rank; });
  }
  /// What `rank` answered. Of one that has gone since, nothing: it may or may not have been asked before.
  const Status* status_of(int rank) const {
    const Member& asked = member(rank);
    return asked.presence == Presence::present && asked.status ? &*asked.status : nullptr;
  }
  /// Asked and silent: its process is stopped or hung. A rank that could report is not.
  bool is_silent(int rank) const {
    const Member& asked = member(rank);
    return asked.presence == Presence::present && asked.queried && !asked.status && !has_reported(rank);
  }
  /// "rank 2 (host-b)".
  std::string describe(int rank) const {
    std::string text = "rank " + std::to_string(rank);
    if (contains(rank) && !member(rank).host.empty()) text += " (" + member(rank).host + ")";
    return text;
  }
  /// "rank 2 (host-b) died: killed by signal 9".
  std::string describe_loss(int rank) const {
    const Member& gone = member(rank);
    if (gone.joined && gone.exited_well && gone.loss.empty())
      return describe(rank) + " exited with code 0 without closing its world";
    if (gone.joined && gone.is_cut_off && gone.loss.empty())
      return describe(rank) + " is gone: its host does not answer, so it is dead or cut off";
    return describe(rank) + (gone.joined ? " died" : " ended before it joined") +
           (gone.loss.empty() ? "" : ": " + gone.loss);
  }
  /// A cause that names `rank` at `place`.
  Cause blame(ErrorCode code, int rank, const Place& place, std::string message) const {
    return {code, place.epoch,       place.communicator, place.operation,
            rank, member(rank).host, place.name,         std::move(message)};
  }
};

}  // namespace trireme::rendezvous
