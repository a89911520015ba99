// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/consistency.hpp"

#include "trireme/base/error.hpp"

#include <charconv>

namespace trireme::ps {

Consistency Consistency::parse(std::string_view text) {
  if (text == "bsp") return {};
  if (text == "async") return {.kind = ConsistencyKind::asynchronous};
  if (text.starts_with("ssp:")) {
    std::uint32_t staleness = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + 4, end, staleness);
    if (error == std::errc{} && stopped == end) {
      if (staleness == 0) return {};
      return {.kind = ConsistencyKind::stale_synchronous, .staleness = staleness};
    }
  }
  fail(ErrorCode::invalid_argument,
       "'" + std::string(text) + "' is no consistency: bsp, async, or ssp:S with a number of steps S (ssp:3)");
}

std::string Consistency::to_string() const {
  switch (kind) {
    case ConsistencyKind::bulk_synchronous: return "bsp";
    case ConsistencyKind::stale_synchronous: return "ssp:" + std::to_string(staleness);
    case ConsistencyKind::asynchronous: break;
  }
  return "async";
}

}  // namespace trireme::ps
