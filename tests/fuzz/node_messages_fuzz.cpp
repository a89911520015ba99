// SPDX-License-Identifier: Apache-2.0
// What launchers of several hosts tell each other, against hostile text: nothing, or a value that its own text gives again.
#include "cli/run/node_card.hpp"
#include "cli/run/node_event.hpp"
#include "fuzz_target.hpp"

#include <string>
#include <string_view>

using namespace trireme::cli;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto card = parse_node_card(text)) {
    const auto again = parse_node_card(to_text(*card));
    promise(again && to_text(*again) == to_text(*card), "a card says itself");
  }
  if (const auto place = parse_meeting_place(text)) {
    const auto again = parse_meeting_place(to_text(*place));
    promise(again && to_text(*again) == to_text(*place), "a place says itself");
  }
  if (const auto event = parse_node_event(text)) {
    const auto again = parse_node_event(to_text(*event));
    promise(again && to_text(*again) == to_text(*event), "an event says itself");
  }
  return 0;
}
