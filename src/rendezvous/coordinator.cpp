// SPDX-License-Identifier: Apache-2.0
#include "trireme/rendezvous/coordinator.hpp"

#include "rendezvous/judge.hpp"

namespace trireme::rendezvous {

using Presence = Evidence::Presence;

Coordinator::Coordinator(Options options) : collection_(options.collection), evidence_(std::make_unique<Evidence>()) {
  if (options.world_size < 1) {
    fail(ErrorCode::invalid_argument, "a world of " + std::to_string(options.world_size) + " ranks: give at least 1");
  }
  evidence_->epoch = options.epoch;
  evidence_->members.resize(static_cast<std::size_t>(options.world_size));
}

Coordinator::~Coordinator() = default;

std::optional<std::string> Coordinator::refusal(int rank) const {
  std::string who = "rank " + std::to_string(rank);
  if (!evidence_->contains(rank)) {
    return who + " is outside the world of " + std::to_string(evidence_->members.size()) + " ranks";
  }
  const Evidence::Member& member = evidence_->member(rank);
  switch (member.presence) {
    case Presence::absent: return std::nullopt;
    case Presence::present:
      return who + " has joined already" + (member.host.empty() ? "" : " from " + member.host) +
             ": two processes were started as " + who;
    case Presence::left: return who + " has left this world and cannot join it again";
    case Presence::lost: return who + " was lost and cannot join this world again";
  }
  return std::nullopt;
}

void Coordinator::joined(int rank, std::string host) {
  if (refusal(rank)) return;
  Evidence::Member& member = evidence_->member(rank);
  member.presence = Presence::present;
  member.joined = true;
  member.host = std::move(host);
}

void Coordinator::left(int rank) {
  if (!evidence_->contains(rank)) return;
  Evidence::Member& member = evidence_->member(rank);
  if (member.presence == Presence::present) member.presence = Presence::left;
}

void Coordinator::lost(int rank, std::string detail, Clock::time_point now) {
  if (!evidence_->contains(rank)) return;
  Evidence::Member& member = evidence_->member(rank);
  if (member.presence == Presence::left) return;
  member.presence = Presence::lost;
  if (member.loss.empty()) member.loss = std::move(detail);
  collect(now, true);
}

void Coordinator::fell_silent(int rank, Clock::time_point now) {
  if (evidence_->contains(rank)) evidence_->member(rank).is_cut_off = true;
  lost(rank, "", now);
}

void Coordinator::exited_well(int rank) {
  if (evidence_->contains(rank)) evidence_->member(rank).exited_well = true;
}

void Coordinator::reported(int reporter, Cause cause, Clock::time_point now) {
  if (!evidence_->contains(reporter) || cause.code == ErrorCode::none || verdict_) return;
  bool ask = cause.code == ErrorCode::timeout || cause.code == ErrorCode::peer_lost;
  evidence_->reports.push_back({reporter, std::move(cause)});
  collect(now, ask);
}

void Coordinator::answered(const Status& status) {
  if (!evidence_->contains(status.rank) || verdict_) return;
  Evidence::Member& member = evidence_->member(status.rank);
  if (member.queried && !member.status) member.status = status;
}

void Coordinator::collect(Clock::time_point now, bool ask) {
  if (verdict_) return;
  // Whoever is asked gets a whole collection to answer in, even when the question comes late in it.
  if (!judging_at_ || (ask && !ask_)) judging_at_ = now + collection_;
  ask_ = ask_ || ask;
}

Coordinator::Actions Coordinator::poll(Clock::time_point now) {
  Actions actions;
  if (verdict_ || !judging_at_) return actions;
  if (ask_ && !asked_) {
    asked_ = true;
    for (int rank = 0; evidence_->contains(rank); ++rank) {
      Evidence::Member& member = evidence_->member(rank);
      if (member.presence != Presence::present) continue;
      member.queried = true;
      actions.query.push_back(rank);
    }
  }
  if (now >= *judging_at_) {
    verdict_ = judge(*evidence_);
    judging_at_.reset();
    actions.publish = verdict_;
  }
  return actions;
}

std::optional<Coordinator::Clock::time_point> Coordinator::next_moment() const { return judging_at_; }

int Coordinator::world_size() const { return static_cast<int>(evidence_->members.size()); }

bool Coordinator::has_joined(int rank) const { return evidence_->contains(rank) && evidence_->member(rank).joined; }

bool Coordinator::everyone_joined() const {
  return std::all_of(evidence_->members.begin(), evidence_->members.end(),
                     [](const Evidence::Member& member) { return member.joined; });
}

}  // namespace trireme::rendezvous
