// SPDX-License-Identifier: Apache-2.0
// What metadata services may answer, against hostile bytes. By the first byte of an input the rest is: a spot action, a list of
// scheduled events, a time in either form, or the address of a service.
#include "fuzz_target.hpp"
#include "interruption/azure_events.hpp"
#include "interruption/ec2_spot.hpp"
#include "interruption/probe.hpp"
#include "interruption/times.hpp"
#include "trireme/base/error.hpp"

#include <string_view>

namespace {

using namespace trireme;
using namespace trireme::interruption;

void promise_sane(const std::optional<WallTime>& time) {
  if (!time) return;
  const auto seconds = time->time_since_epoch().count();
  promise(seconds >= -62'200'000'000 && seconds <= 253'500'000'000, "a time is of the years 0 to 9999");
}

void try_address(std::string_view text) {
  try {
    const MetadataAddress address = parse_metadata_address(text);
    promise(!address.host.empty() && !address.port.empty(), "an address has a host and a port");
  } catch (const Exception& refusal) {
    promise(refusal.error().code == ErrorCode::invalid_argument, "what is no address is refused as such");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      if (const auto action = parse_spot_action(text)) {
        promise_sane(action->time);
        promise(action->action == "terminate" || action->action == "stop" || action->action == "hibernate",
                "an action is one of three");
      }
      break;
    case 1:
      if (const auto events = parse_scheduled_events(text))
        for (const ScheduledEvent& each : *events) promise(each.not_before.size() <= size, "a time was in the text");
      break;
    case 2: promise_sane(parse_iso_time(text)); break;
    case 3: promise_sane(parse_rfc1123_time(text)); break;
    default: try_address(text.find('\0') == std::string_view::npos ? text : ""); break;
  }
  return 0;
}
