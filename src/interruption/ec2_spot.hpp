// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "interruption/source.hpp"
#include "interruption/times.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::interruption {

/// {"action": "terminate", "time": "2026-01-31T08:22:00Z"}.
struct SpotAction {
  std::string action;  ///< terminate, stop or hibernate
  WallTime time;
};
/// Nothing for anything else.
std::optional<SpotAction> parse_spot_action(std::string_view json);

/// The instance metadata of EC2: a token first (IMDSv2), or none where the service knows of no tokens; then the spot action, which is
/// not there (404) until two minutes before the instance is taken away.
class Ec2Spot final : public Source {
 public:
  explicit Ec2Spot(std::string address) : address_(std::move(address)) {}
  std::string name() const override { return "EC2"; }
  Reply ask(http::Client& client, const Moment& moment) override;
  /// A service without tokens that knows of no action may be anybody's: it is not pressed.
  std::chrono::milliseconds pause(const Moment&) const override;

 private:
  enum class Token : unsigned char { there, not_wanted, refused };
  Token take_token(http::Client& client, const Moment& moment);

  std::string address_;
  std::string token_;  // a secret
  std::chrono::steady_clock::time_point token_ends_{};
  bool wants_no_token_ = false;
  FirstSight first_sight_;
};

}  // namespace trireme::interruption
