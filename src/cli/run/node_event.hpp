// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/outcome.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace trireme::cli {

/// What happened on one host, in the journal that the launchers of a job share: all read the same events in the same order.
struct NodeEvent {
  enum class Kind : unsigned char {
    rank_ended,  ///< `end`
    last_words,  ///< of `end.rank`, which failed: `text`
    stop,        ///< `signal` was forwarded to the ranks of the host
    kill,        ///< the user has asked twice: all ranks of the job are killed
    done,        ///< all ranks of the host have ended, and what they wrote is shown
    outcome,     ///< of the job, from node 0: `outcome`
    farewell,    ///< the launcher reads no further
  };
  explicit NodeEvent(Kind kind_of_it = Kind::done) : kind(kind_of_it) {}
  static NodeEvent of_end(const RankEnd& end) {
    NodeEvent event(Kind::rank_ended);
    event.end = end;
    return event;
  }
  static NodeEvent of_last_words(int rank, std::string words) {
    NodeEvent event(Kind::last_words);
    event.end.rank = rank;
    event.text = std::move(words);
    return event;
  }
  static NodeEvent of_stop(int signal) {
    NodeEvent event(Kind::stop);
    event.signal = signal;
    return event;
  }
  static NodeEvent of_outcome(const Outcome& outcome) {
    NodeEvent event(Kind::outcome);
    event.outcome = outcome;
    return event;
  }

  int node = 0;
  Kind kind;
  RankEnd end{};
  int signal = 0;
  std::string text{};
  Outcome outcome{};
};

std::string to_text(const NodeEvent& event);
/// Nothing for text that no launcher writes. Any bytes.
std::optional<NodeEvent> parse_node_event(std::string_view text);

}  // namespace trireme::cli
