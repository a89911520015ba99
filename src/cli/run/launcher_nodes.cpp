// SPDX-License-Identifier: Apache-2.0
// What a launcher makes of the other hosts of its job.
#include "cli/run/launcher.hpp"

#include <algorithm>

namespace trireme::cli {
namespace {

/// Beyond the patience of all hosts with their ranks: time for what they write, and for the journal.
constexpr std::chrono::seconds slack{10};

}  // namespace

void Launcher::tell(NodeEvent event) {
  if (around_.nodes != nullptr) around_.nodes->tell(std::move(event));
}

int Launcher::node_of(int rank) const {
  const auto after = std::upper_bound(bases_.begin(), bases_.end(), rank);
  return static_cast<int>(after - bases_.begin()) - 1;
}

std::string Launcher::host_of(int rank) const {
  if (around_.nodes == nullptr) return {};
  return around_.nodes->cards()[static_cast<std::size_t>(node_of(rank))].name;
}

void Launcher::take_news() {
  if (around_.nodes == nullptr) return;
  for (const NodeEvent& event : around_.nodes->take()) take(event);
  if (loss_) return;
  if (const auto loss = around_.nodes->loss()) {
    take_loss(*loss);
  } else if (const auto limit = end_of_waiting(); limit && !is_over_elsewhere() && Clock::now() >= *limit) {
    int late = 0;
    while (job_->node == 0 && done_.contains(late)) ++late;
    take_loss({late, around_.nodes->who(late) + " does not come to an end"});
  }
}

void Launcher::take(const NodeEvent& event) {
  if (event.node < 0 || event.node >= job_->nnodes) return;
  if (event.kind == NodeEvent::Kind::done) done_.insert(event.node);
  if (event.node == job_->node) return;
  const bool is_rank_of_it = event.end.rank < job_->world && node_of(event.end.rank) == event.node;
  switch (event.kind) {
    case NodeEvent::Kind::rank_ended:
      if (is_rank_of_it) note(event.end);
      break;
    case NodeEvent::Kind::last_words:
      if (is_rank_of_it) last_words_[event.end.rank] = event.text;
      break;
    case NodeEvent::Kind::stop: stop_elsewhere(event.signal); break;
    case NodeEvent::Kind::kill:
      killed_by_user_ = true;
      output_abandoned_ = true;
      ending_ = Ending::killed;
      signal_live(SIGKILL);
      break;
    case NodeEvent::Kind::outcome:
      if (event.node == 0) decided_ = event.outcome;
      break;
    case NodeEvent::Kind::done:
    case NodeEvent::Kind::farewell: break;
  }
}

/// Every rank of the job hears a stop signal once, whichever host it came to first, and if all got it.
void Launcher::stop_elsewhere(int signal) {
  if (!stop_forwarded_) {
    forwarded_for_another_ = true;
    signal_live(signal);
  }
  stop_noted(signal);
}

/// Ranks that fail when a host goes do so because of it, even if they notice first; not one of that host itself, and not one that
/// a signal ended.
void Launcher::take_loss(const Nodes::Loss& loss) {
  loss_ = loss;
  if (loss.signal != 0) {  // before its launcher knew that all had met
    stop_elsewhere(loss.signal);
    return;
  }
  const auto is_other_cause = [&](const RankEnd& end) {
    return !end.by_launcher && !end.status.success() && !is_interruption(end.status) &&
           (end.status.signal != 0 || node_of(end.rank) == loss.node);
  };
  loss_is_cause_ = !interrupted_by_ && std::none_of(ends_.begin(), ends_.end(), is_other_cause);
  if (!failed_) failed_ = Clock::now();
  if (around_.server == nullptr || loss.node < 0) return;
  const auto first = static_cast<std::size_t>(loss.node);
  for (int rank = bases_[first]; rank < bases_[first + 1]; ++rank) {
    const auto has_ended = [&](const RankEnd& end) { return end.rank == rank; };
    if (std::none_of(ends_.begin(), ends_.end(), has_ended)) around_.server->process_ended(rank, loss.message);
  }
}

/// When this launcher has ended its ranks and no longer waits for hosts that should have ended theirs; nothing while theirs may
/// go on as long as they like.
std::optional<Launcher::Clock::time_point> Launcher::end_of_waiting() const {
  const auto patience = end_of_patience();
  const bool all_done = done_.size() == static_cast<std::size_t>(job_->nnodes);
  if (!ended_ || !(patience || all_done)) return std::nullopt;
  return std::max(*ended_, patience.value_or(*ended_)) + slack * (job_->node == 0 ? 1 : 2);
}

void Launcher::tell_progress() {
  if (around_.nodes == nullptr || told_done_ || !is_over_here()) return;
  told_done_ = true;
  for (const RankEnd& end : ends_) {
    if (node_of(end.rank) != job_->node || end.by_launcher || end.status.success()) continue;
    const std::string words = last_words_of(end.rank);
    if (words.empty()) continue;
    tell(NodeEvent::of_last_words(end.rank, words));
  }
  tell(NodeEvent(NodeEvent::Kind::done));
}

}  // namespace trireme::cli
