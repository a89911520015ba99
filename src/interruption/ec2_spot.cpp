// SPDX-License-Identifier: Apache-2.0
#include "interruption/ec2_spot.hpp"

#include "interruption/metadata.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace trireme::interruption {
namespace {

constexpr int token_seconds = 21600;  // the longest there is
constexpr std::chrono::minutes token_use(300);
constexpr std::chrono::minutes longest_spot_notice(2);

}  // namespace

std::optional<SpotAction> parse_spot_action(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto action = json.find("action"), time = json.find("time");
  if (action == json.end() || !action->is_string() || time == json.end() || !time->is_string()) return std::nullopt;
  const auto when = parse_iso_time(time->get_ref<const std::string&>());
  SpotAction parsed{.action = action->get<std::string>(), .time = when.value_or(WallTime{})};
  if (!when || (parsed.action != "terminate" && parsed.action != "stop" && parsed.action != "hibernate"))
    return std::nullopt;
  return parsed;
}

Ec2Spot::Token Ec2Spot::take_token(http::Client& client, const Moment& moment) {
  if (wants_no_token_) return Token::not_wanted;
  if (!token_.empty() && moment.steady < token_ends_) return Token::there;
  http::Request request = metadata_request(address_ + "/latest/api/token",
                                           "X-aws-ec2-metadata-token-ttl-seconds: " + std::to_string(token_seconds));
  request.method = "PUT";
  const http::Response response = client.send(request);
  switch (response.status) {
    case 200: break;
    case 404:
    case 405: wants_no_token_ = true; return Token::not_wanted;
    case 400:
    case 403: return Token::refused;
    default: refuse_answer("EC2", "the request for a token", response);
  }
  const std::string_view token = trimmed(response.body);
  const bool is_one = !token.empty() && token.size() <= 4096 &&
                      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!is_one) refuse_answer("EC2", "the request for a token", response);
  token_ = token;
  token_ends_ = moment.steady + token_use;
  return Token::there;
}

Reply Ec2Spot::ask(http::Client& client, const Moment& moment) {
  for (bool is_again = false;; is_again = true) {
    const Token token = take_token(client, moment);
    if (token == Token::refused) return {.is_here = false};
    const http::Response response =
        client.send(metadata_request(address_ + "/latest/meta-data/spot/instance-action",
                                     token == Token::there ? "X-aws-ec2-metadata-token: " + token_ : ""));
    if (response.status == 401 && !is_again) {  // the token has been taken back, or is wanted after all
      token_.clear();
      wants_no_token_ = false;
      continue;
    }
    if (response.status == 404) {
      first_sight_.forget();
      return {};
    }
    const auto action = response.status == 200 ? parse_spot_action(response.body) : std::nullopt;
    if (!action) refuse_answer("EC2", "spot/instance-action", response);
    const auto ahead = action->time - clock_of(response, moment);
    const auto deadline =
        first_sight_.deadline(action->action + " " + std::to_string(action->time.time_since_epoch().count()), moment,
                              ahead, longest_spot_notice);
    return {.announcement = Announcement{"spot action " + action->action, deadline}};
  }
}

std::chrono::milliseconds Ec2Spot::pause(const Moment&) const { return std::chrono::seconds(wants_no_token_ ? 5 : 1); }

}  // namespace trireme::interruption
