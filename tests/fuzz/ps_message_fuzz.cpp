// SPDX-License-Identifier: Apache-2.0
// decode() of messages of the parameter server, parse_head(), decode_plan(), ServerCard::parse() and View::parse() against hostile bytes. The
// first byte of an input chooses; of a message the second is how many bytes of payload, in steps of 64, it says it has.
#include "fuzz_target.hpp"
#include "ps/view.hpp"
#include "ps/wire.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/server.hpp"

#include <string_view>
#include <variant>

namespace {

using namespace trireme;
using namespace trireme::ps;
using Hostile = std::span<const std::byte>;

void check_rows(const std::vector<std::uint32_t>& rows) {
  for (std::size_t i = 1; i < rows.size(); ++i) promise(rows[i - 1] < rows[i], "rows ascend");
}

void check_parts(const std::vector<std::uint64_t>& parts, std::uint64_t payload) {
  std::uint64_t sum = 0;
  for (const std::uint64_t part : parts) {
    promise(part <= payload - sum, "parts lie in the payload");
    sum += part;
  }
  promise(sum == payload, "parts are the payload");
}

void read_message(Hostile bytes, std::uint64_t payload) {
  const Control control = decode(bytes, payload);
  const auto again = encode(control);
  promise(encode(decode(again, payload)) == again, "what is read is written back, and is then the same bytes");
  if (const auto* push = std::get_if<Push>(&control)) {
    check_rows(push->rows);
    promise(push->rows.size() <= payload, "no more rows than bytes");
  }
  if (const auto* pull = std::get_if<Pull>(&control)) check_rows(pull->rows);
  if (const auto* reduced = std::get_if<Reduced>(&control)) check_rows(reduced->rows);
  if (const auto* state = std::get_if<State>(&control)) check_parts(state->bytes, payload);
}

void read_plan(Hostile bytes) {
  const auto plan = decode_plan(bytes);
  promise(decode_plan(encode(*plan))->fingerprint() == plan->fingerprint(), "a plan that is read makes itself again");
  for (const KeyInfo& key : plan->keys()) {
    promise(
        key.tensor < plan->tensors().size() && key.server < plan->options().servers && key.loop < plan->options().loops,
        "keys have a tensor, a server and a loop");
    promise(key.range.begin <= key.range.end && key.range.end <= plan->tensors()[key.tensor].count(),
            "keys lie in their tensors");
  }
}

void read_head(Hostile bytes) {
  if (bytes.size() < FrameHead::size) return;
  const auto first = bytes.first<FrameHead::size>();
  const FrameHead head = parse_head(first, 1u << 20);
  promise(head.control_bytes <= most_control_bytes && head.payload_bytes <= (1u << 20), "lengths keep to their limits");
  const auto again = encode_head(head);
  promise(std::equal(again.begin(), again.end(), first.begin()), "a head is written back as it was");
}

void read_card(Hostile bytes) {
  const ServerCard card = ServerCard::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const std::string text = card.to_text();
  promise(ServerCard::parse(text).to_text() == text, "a card that is read is written back");
}

void read_view(Hostile bytes) {
  const View view = View::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  promise(View::parse(view.to_text()) == view, "a view that is read is written back");
  promise(view.number != 0 && (!view.replica || view.replica->server != view.primary.server),
          "a view has two holders at most");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  try {
    switch (data[0] % 5) {
      case 0:
        if (!rest.empty()) read_message(rest.subspan(1), 64 * std::to_integer<std::uint64_t>(rest[0]));
        break;
      case 1: read_plan(rest); break;
      case 2: read_head(rest); break;
      case 4: read_view(rest); break;
      default: read_card(rest); break;
    }
  } catch (const Exception& exception) {
    promise(exception.error().code == ErrorCode::corrupt, "bad bytes are corrupt");
    promise(exception.error().message.size() < 2000, "an error is one line");
  }
  return 0;
}
