// SPDX-License-Identifier: Apache-2.0
// An endpoint whose peer does what the input says: frames, almost-frames, raw bytes, silence, the end; on one lane
// and on several, with memory that can be lent and without.
#include "fuzz_target.hpp"
#include "support/hostile_session.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const bool lends : {true, false}) {
    for (const std::size_t lanes : {std::size_t{1}, std::size_t{3}}) {
      trireme::testing::HostileSession session(lanes, lends);
      session.run(std::as_bytes(std::span(data, size)));
      promise(session.broken().empty(), session.broken().c_str());
    }
  }
  return 0;
}
