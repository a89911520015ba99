// SPDX-License-Identifier: Apache-2.0
#include "cli/run/node_card.hpp"

#include "cli/run/words.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace trireme::cli {
namespace {

constexpr int most_processes = 1 << 20;  // of one host
constexpr std::size_t longest_name = 255;
constexpr std::string_view card_mark = "trireme-node/1";
constexpr std::string_view place_mark = "trireme-ranks/1";

bool is_printable(char c) { return static_cast<unsigned char>(c) > ' ' && static_cast<unsigned char>(c) != 0x7f; }

}  // namespace

std::string to_text(const NodeCard& card) {
  std::string name = card.name.substr(0, longest_name);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_printable(c); }, '?');
  return std::string(card_mark) + " " + std::to_string(card.ranks) + " " + std::to_string(card.evaluators) + " " + name;
}

std::optional<NodeCard> parse_node_card(std::string_view text) {
  Words words(text);
  if (words.next() != card_mark) return std::nullopt;
  const auto ranks = words.number(1, most_processes);
  const auto evaluators = words.number(0, most_processes);
  const std::string_view name = words.rest();
  if (!ranks || !evaluators || name.size() > longest_name || !std::all_of(name.begin(), name.end(), is_printable))
    return std::nullopt;
  return NodeCard{*ranks, *evaluators, std::string(name)};
}

std::vector<int> rank_bases(std::span<const NodeCard> cards) {
  std::vector<int> bases;
  std::int64_t ranks = 0;
  for (const NodeCard& card : cards) {
    bases.push_back(static_cast<int>(ranks));
    ranks += card.ranks;
    if (ranks > std::numeric_limits<int>::max())
      fail(ErrorCode::invalid_argument, "the hosts start more ranks together than can be numbered");
  }
  bases.push_back(static_cast<int>(ranks));
  return bases;
}

std::string to_text(const MeetingPlace& place) {
  return std::string(place_mark) + " " + std::to_string(place.store_port) + " " + std::to_string(place.master_port);
}

std::optional<MeetingPlace> parse_meeting_place(std::string_view text) {
  Words words(text);
  if (words.next() != place_mark) return std::nullopt;
  const auto store = words.number(1, 65535), master = words.number(1, 65535);
  if (!store || !master || !words.rest().empty()) return std::nullopt;
  return MeetingPlace{static_cast<std::uint16_t>(*store), static_cast<std::uint16_t>(*master)};
}

}  // namespace trireme::cli
