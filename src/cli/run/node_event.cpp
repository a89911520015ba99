// SPDX-License-Identifier: Apache-2.0
#include "cli/run/node_event.hpp"

#include "cli/run/words.hpp"

#include <array>
#include <limits>

namespace trireme::cli {
namespace {

using Kind = NodeEvent::Kind;

constexpr int no_limit = std::numeric_limits<int>::max();
constexpr int last_signal = 64;
constexpr std::size_t longest_text = 8192;
constexpr std::array<std::string_view, 7> names{"ended", "words", "stop", "kill", "done", "outcome", "farewell"};

std::string joined(std::initializer_list<int> numbers) {
  std::string text;
  for (const int number : numbers) {
    text += ' ';
    text += std::to_string(number);
  }
  return text;
}

bool parse_end(Words& words, RankEnd& end) {
  const auto rank = words.number(0, no_limit), code = words.number(0, 255), signal = words.number(0, last_signal),
             by_launcher = words.number(0, 1);
  if (!rank || !code || !signal || !by_launcher) return false;
  end = {*rank, {*code, *signal}, *by_launcher == 1};
  return words.rest().empty();
}

/// "length text": the line, behind which another text follows.
bool parse_outcome(Words& words, Outcome& outcome) {
  const auto code = words.number(0, 255), interrupted = words.number(0, 1), culprit = words.number(-1, no_limit),
             length = words.number(0, static_cast<int>(longest_text));
  if (!code || !interrupted || !culprit || !length) return false;
  const std::string_view texts = words.rest();
  const auto size = static_cast<std::size_t>(*length);
  if (texts.size() < size || texts.size() > 2 * longest_text) return false;
  outcome = {*code, std::string(texts.substr(0, size)), *interrupted == 1, *culprit, std::string(texts.substr(size))};
  return true;
}

}  // namespace

std::string to_text(const NodeEvent& event) {
  std::string text = std::to_string(event.node) + " " + std::string(names[static_cast<std::size_t>(event.kind)]);
  switch (event.kind) {
    case Kind::rank_ended:
      text += joined({event.end.rank, event.end.status.code, event.end.status.signal, event.end.by_launcher ? 1 : 0});
      break;
    case Kind::last_words: text += joined({event.end.rank}) + " " + event.text.substr(0, longest_text); break;
    case Kind::stop: text += joined({event.signal}); break;
    case Kind::outcome: {
      const std::string line = event.outcome.line.substr(0, longest_text);
      text += joined({event.outcome.exit_code, event.outcome.interrupted ? 1 : 0, event.outcome.culprit,
                      static_cast<int>(line.size())}) +
              " " + line + event.outcome.last_words.substr(0, longest_text);
      break;
    }
    case Kind::kill:
    case Kind::done:
    case Kind::farewell: break;
  }
  return text;
}

std::optional<NodeEvent> parse_node_event(std::string_view text) {
  Words words(text);
  NodeEvent event;
  const auto node = words.number(0, no_limit);
  const std::string_view name = words.next();
  std::size_t kind = 0;
  while (kind < names.size() && names[kind] != name) ++kind;
  if (!node || kind == names.size()) return std::nullopt;
  event.node = *node;
  event.kind = static_cast<Kind>(kind);
  bool is_whole = words.rest().empty();
  switch (event.kind) {
    case Kind::rank_ended: is_whole = parse_end(words, event.end); break;
    case Kind::last_words: {
      const auto rank = words.number(0, no_limit);
      is_whole = rank && words.rest().size() <= longest_text;
      event.end.rank = rank.value_or(-1);
      event.text = words.rest();
      break;
    }
    case Kind::stop: {
      const auto signal = words.number(1, last_signal);
      is_whole = signal && words.rest().empty();
      event.signal = signal.value_or(0);
      break;
    }
    case Kind::outcome: is_whole = parse_outcome(words, event.outcome); break;
    case Kind::kill:
    case Kind::done:
    case Kind::farewell: break;
  }
  if (!is_whole) return std::nullopt;
  return event;
}

}  // namespace trireme::cli
