// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "interruption/source.hpp"
#include "trireme/http/client.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::interruption {

/// Seconds since 1970, UTC.
using WallTime = std::chrono::sys_seconds;

/// "2026-01-31T08:22:00Z", with or without a fraction of the second, which is dropped. Nothing for anything else.
std::optional<WallTime> parse_iso_time(std::string_view text);
/// "Sat, 31 Jan 2026 08:22:00 GMT". Nothing for anything else; the day of the week is not looked at.
std::optional<WallTime> parse_rfc1123_time(std::string_view text);

/// The server's clock when it answered (its header Date), or else ours: how far ahead its times are does not depend on how
/// wrong our clock is.
WallTime clock_of(const http::Response& response, const Moment& moment);

/// The deadlines of one thing announced: fixed when it is first seen, so that it does not move with every answer.
class FirstSight {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  /// `key` tells one announcement from another; `ahead` is how far ahead it is, which counts at first sight, from 0 to `most`.
  Steady deadline(const std::string& key, const Moment& moment, std::chrono::seconds ahead, std::chrono::seconds most);
  void forget() { key_.clear(); }

 private:
  std::string key_;
  Steady deadline_{};
};

}  // namespace trireme::interruption
