// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/judge.hpp"

#include "rendezvous/cause_order.hpp"
#include "rendezvous/waiting_chain.hpp"

#include <tuple>

namespace trireme::rendezvous {
namespace {

using Presence = Evidence::Presence;

bool is_stronger(const Cause& a, const Cause& b) {
  auto key = [](const Cause& cause) {
    return std::tuple(cause.epoch, cause.communicator, cause.operation, kind_order(cause.code), cause.member,
                      cause.code, std::string_view(cause.message), std::string_view(cause.operation_name));
  };
  return key(a) < key(b);
}

/// The lowest operation that anybody was in: the one a lost rank interrupted. Of several names the first in the
/// alphabet, so that the order of arrival does not show. A cause without the name of an operation was found outside of
/// any (a link that broke), and its zeros are no place.
std::optional<Place> interrupted(const Evidence& evidence) {
  std::optional<Place> lowest;
  auto consider = [&](Place place) {
    bool is_better_name = lowest && !place.name.empty() && (lowest->name.empty() || place.name < lowest->name);
    if (!lowest || place < *lowest || (!(*lowest < place) && is_better_name)) lowest = std::move(place);
  };
  for (const Evidence::Report& report : evidence.reports) {
    if (!report.cause.operation_name.empty()) consider(place_of(report.cause));
  }
  for (int rank = 0; evidence.contains(rank); ++rank) {
    const Status* status = evidence.status_of(rank);
    if (status == nullptr || !status->in_operation) continue;
    consider({evidence.epoch, status->communicator, status->operation, status->operation_name});
  }
  return lowest;
}

Cause loss_of(const Evidence& evidence, int rank, const std::optional<Place>& place) {
  const Evidence::Member& member = evidence.member(rank);
  std::string message = evidence.describe_loss(rank);
  if (place && member.joined) message += ", during " + place->describe();
  return evidence.blame(ErrorCode::peer_lost, rank, place.value_or(Place{evidence.epoch}), std::move(message));
}

Cause cut_of(const Evidence& evidence, int rank, const std::optional<Place>& place) {
  std::string message = evidence.describe(rank) + " is cut off: it accuses who is there, and does not answer";
  if (place) message += ", during " + place->describe();
  return evidence.blame(ErrorCode::peer_lost, rank, place.value_or(Place{evidence.epoch}), std::move(message));
}

/// A report as it came, with what the reporter could not know filled in.
Cause completed(const Evidence& evidence, const Evidence::Report& report) {
  Cause cause = report.cause;
  bool own_fault = cause.code == ErrorCode::system || cause.code == ErrorCode::device ||
                   cause.code == ErrorCode::invalid_argument || cause.code == ErrorCode::unsupported;
  if (cause.member < 0 && own_fault) cause.member = report.reporter;
  if (cause.member_host.empty() && evidence.contains(cause.member))
    cause.member_host = evidence.member(cause.member).host;
  if (cause.message.empty()) {
    cause.message = evidence.describe(report.reporter) + " failed in " + place_of(cause).describe();
  }
  return cause;
}

/// Whether the accused has answered and the accuser, asked too, has not: what one hears of the other does not come back,
/// so the line to the accuser is cut in one direction.
bool is_refuted(const Evidence& evidence, const Evidence::Report& report) {
  if (!evidence.contains(report.reporter)) return false;
  const Evidence::Member& reporter = evidence.member(report.reporter);
  return evidence.status_of(report.cause.member) != nullptr && reporter.presence == Presence::present &&
         reporter.queried && !reporter.status;
}

}  // namespace

Cause judge(const Evidence& evidence) {
  std::vector<Cause> causes, echoes;
  std::vector<int> cut_off;
  bool timed_out = false;
  for (const Evidence::Report& report : evidence.reports) {
    const Cause& cause = report.cause;
    if (cause.code == ErrorCode::timeout) {
      timed_out = true;
      continue;
    }
    bool blames_peer = (cause.code == ErrorCode::peer_lost || cause.code == ErrorCode::closed) &&
                       evidence.contains(cause.member) && cause.member != report.reporter;
    if (blames_peer && is_refuted(evidence, report)) {
      cut_off.push_back(report.reporter);
    } else if (blames_peer && evidence.has_reported(cause.member)) {
      echoes.push_back(completed(evidence, report));
    } else if (blames_peer && evidence.member(cause.member).presence == Presence::left) {
      causes.push_back(departure_of(evidence, cause.member, place_of(cause)));
    } else if (blames_peer && evidence.member(cause.member).presence == Presence::lost) {
      continue;  // the loss itself is below
    } else {
      causes.push_back(completed(evidence, report));
    }
  }
  std::optional<Place> place = interrupted(evidence);
  for (int rank : cut_off) causes.push_back(cut_of(evidence, rank, place));
  for (int rank = 0; evidence.contains(rank); ++rank) {
    bool is_lost = evidence.member(rank).presence == Presence::lost;
    if (is_lost && !evidence.has_reported(rank)) causes.push_back(loss_of(evidence, rank, place));
  }
  if (timed_out) causes.push_back(follow_waiting(evidence));
  if (causes.empty()) causes = std::move(echoes);  // they blame each other: a link is cut
  auto strongest = std::min_element(causes.begin(), causes.end(), is_stronger);
  return strongest == causes.end() ? Cause{.code = ErrorCode::closed, .epoch = evidence.epoch} : *strongest;
}

}  // namespace trireme::rendezvous
