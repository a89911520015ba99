// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What the launcher of one host tells the others before ranks are numbered.
struct NodeCard {
  int ranks = 1;       ///< it starts
  int evaluators = 0;  ///< it starts beside them
  std::string name;    ///< of the host, for messages
};

std::string to_text(const NodeCard& card);
/// Nothing for text that no launcher writes. Any bytes.
std::optional<NodeCard> parse_node_card(std::string_view text);

/// The first rank of each host, in the order of the hosts, and behind them the number of all ranks.
/// Errors: invalid_argument when that number is beyond an int.
std::vector<int> rank_bases(std::span<const NodeCard> cards);

/// Where the ranks meet, as node 0 tells it the others.
struct MeetingPlace {
  std::uint16_t store_port = 0;   ///< on node 0
  std::uint16_t master_port = 0;  ///< MASTER_PORT: free there
};

std::string to_text(const MeetingPlace& place);
std::optional<MeetingPlace> parse_meeting_place(std::string_view text);

}  // namespace trireme::cli
