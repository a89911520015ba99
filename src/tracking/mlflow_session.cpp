// SPDX-License-Identifier: Apache-2.0
#include "tracking/mlflow_session.hpp"

#include "tracking/base64.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

#include <unistd.h>

namespace trireme::tracking {
namespace {

using Json = nlohmann::json;
using Kind = MlflowVerdict::Kind;
using std::chrono::system_clock;

constexpr std::chrono::seconds longest_asked_pause{60};
constexpr std::chrono::minutes token_margin{10};   // before it runs out
constexpr std::chrono::minutes token_renewal{10};  // how long a new one counts is not told
constexpr std::chrono::minutes token_again{1};     // from a vain attempt to the next

/// "Retry-After: 7"; a date is no pause, as clocks differ.
std::optional<std::chrono::milliseconds> asked_pause(const http::Response& response) {
  const auto found = response.headers.find("retry-after");
  if (found == response.headers.end()) return std::nullopt;
  const std::string& text = found->second;
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::min<std::chrono::milliseconds>(std::chrono::seconds(seconds), longest_asked_pause);
}

std::string url_encoded(const std::string& text) {
  std::string url;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                          c == '_' || c == '.' || c == '~';
    constexpr char digits[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    url += is_plain ? std::string(1, c) : std::string{'%', digits[byte >> 4], digits[byte & 15]};
  }
  return url;
}

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const char* status_of(Ending ending) {
  switch (ending) {
    case Ending::finished: return "FINISHED";
    case Ending::failed: return "FAILED";
    case Ending::interrupted: return "KILLED";
  }
  return "";
}

MlflowVerdict not_mlflow(const std::string& what) {
  return {.kind = Kind::not_now, .reason = "the answer to " + what + " is not MLflow's"};
}

}  // namespace

std::string MlflowSession::mark() const {
  return std::to_string(mlflow_time(began_)) + "-" + std::to_string(::getpid());
}

MlflowVerdict MlflowSession::begin() {
  if (has_run()) return {};
  if (!settings_.earlier_run_id.empty()) return go_on_with_earlier();
  if (settings_.experiment_id.empty()) {
    if (!settings_.experiment_name.empty()) return find_experiment();
    settings_.experiment_id = "0";
  }
  return make_run();
}

/// One that the server does not have any more, or has deleted, is forgotten: a new one is begun.
MlflowVerdict MlflowSession::go_on_with_earlier() {
  const std::string run = std::exchange(settings_.earlier_run_id, "");
  MlflowVerdict verdict = call("POST", "runs/update", dumped({{"run_id", run}, {"status", "RUNNING"}})).verdict;
  if (verdict.kind == Kind::not_now) settings_.earlier_run_id = run;
  if (verdict.kind == Kind::taken) settings_.run_id = run;
  is_own_run_ = goes_on_ = has_run();
  return verdict.kind == Kind::not_now ? verdict : MlflowVerdict{};
}

/// Looked for first where it may have been made without our hearing of it.
MlflowVerdict MlflowSession::make_run() {
  if (may_have_made_run_) {
    const auto found = call("POST", "runs/search",
                            dumped({{"experiment_ids", {settings_.experiment_id}},
                                    {"filter", "tags.trireme_session = '" + mark() + "'"},
                                    {"max_results", 1}}));
    if (found.verdict.kind == Kind::not_now || found.verdict.kind == Kind::hopeless) return found.verdict;
    settings_.run_id = text_at(found.body, {"runs", "0", "info", "run_id"});
  }
  if (settings_.run_id.empty()) {
    may_have_made_run_ = true;
    Json body{{"experiment_id", settings_.experiment_id},
              {"start_time", mlflow_time(began_)},
              {"tags", Json::array({{{"key", "trireme_session"}, {"value", mark()}}})}};
    if (!settings_.run_name.empty()) body["run_name"] = settings_.run_name;
    const auto made = call("POST", "runs/create", dumped(body));
    if (made.verdict.kind == Kind::refused) return {.kind = Kind::hopeless, .reason = made.verdict.reason};
    if (made.verdict.kind != Kind::taken) return made.verdict;
    settings_.run_id = text_at(made.body, {"run", "info", "run_id"});
  }
  is_own_run_ = has_run();
  return has_run() ? MlflowVerdict{} : not_mlflow("runs/create");
}

MlflowVerdict MlflowSession::find_experiment() {
  const auto found = call("GET", "experiments/get-by-name?experiment_name=" + url_encoded(settings_.experiment_name));
  if (found.verdict.kind == Kind::taken) {
    settings_.experiment_id = text_at(found.body, {"experiment", "experiment_id"});
    return settings_.experiment_id.empty() ? not_mlflow("experiments/get-by-name") : MlflowVerdict{};
  }
  if (found.status != 404 || !is_mlflow_refusal(found.body)) {
    if (found.verdict.kind == Kind::refused) return {.kind = Kind::hopeless, .reason = found.verdict.reason};
    return found.verdict;
  }
  const auto made = call("POST", "experiments/create", dumped({{"name", settings_.experiment_name}}));
  if (made.verdict.kind == Kind::refused) {
    // Somebody else may have made it in between; and one that was deleted keeps its name.
    if (text_at(made.body, {"error_code"}) == "RESOURCE_ALREADY_EXISTS" && !std::exchange(has_met_twin_, true))
      return {.kind = Kind::not_now, .reason = made.verdict.reason};
    return {.kind = Kind::hopeless, .reason = made.verdict.reason};
  }
  if (made.verdict.kind != Kind::taken) return made.verdict;
  settings_.experiment_id = text_at(made.body, {"experiment_id"});
  return settings_.experiment_id.empty() ? not_mlflow("experiments/create") : MlflowVerdict{};
}

MlflowVerdict MlflowSession::log(std::span<const MlflowItem> items) {
  return call("POST", "runs/log-batch", mlflow_batch_body(settings_.run_id, items)).verdict;
}

MlflowVerdict MlflowSession::probe() {
  const MlflowItem item{.kind = MlflowItem::Kind::tag, .key = "trireme_session", .text = mark()};
  return log(std::span(&item, 1));
}

MlflowVerdict MlflowSession::end(Ending ending) {
  const auto now = mlflow_time(system_clock::now());
  return call("POST", "runs/update",
              dumped({{"run_id", settings_.run_id}, {"status", status_of(ending)}, {"end_time", now}}))
      .verdict;
}

std::optional<system_clock::time_point> MlflowSession::token_due() const {
  if (settings_.token_url.empty() || !settings_.token_expires) return std::nullopt;
  return next_token_ ? *next_token_ : *settings_.token_expires - token_margin;
}

MlflowVerdict MlflowSession::replace_token() {
  next_token_ = system_clock::now() + token_again;
  const Answer answer = exchange("GET", settings_.token_url, "");
  if (answer.status == 401 || answer.status == 403)
    return {.kind = Kind::hopeless, .reason = "the token does not count any more, and there is no new one for it"};
  if (answer.verdict.kind != Kind::taken) return {.kind = Kind::not_now, .reason = answer.verdict.reason};
  std::string token = text_at(answer.body, {"token"});
  if (token.empty() || token.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
    return not_mlflow("the request for a token");
  settings_.token = std::move(token);
  next_token_ = system_clock::now() + token_renewal;
  return {};
}

/// A request of MLflow's interface. One that a token which has run out made vain is repeated with a new token.
MlflowSession::Answer MlflowSession::call(const std::string& method, const std::string& path, const std::string& body) {
  const std::string url = settings_.base_url + "/api/2.0/mlflow/" + path;
  if (const auto due = token_due(); due && *due <= system_clock::now()) static_cast<void>(replace_token());
  Answer answer = exchange(method, url, body);
  if (answer.status != 401) return answer;
  if (settings_.token_url.empty()) {
    answer.verdict = {.kind = Kind::hopeless, .reason = "the server does not accept these credentials (401)"};
    return answer;
  }
  answer.verdict = replace_token();
  if (answer.verdict.kind != Kind::taken) return answer;
  answer = exchange(method, url, body);
  if (answer.status == 401)
    answer.verdict = {.kind = Kind::hopeless, .reason = "the server does not accept a token that is new (401)"};
  return answer;
}

MlflowSession::Answer MlflowSession::exchange(const std::string& method, const std::string& url,
                                              const std::string& body) {
  http::Request request{.method = method,
                        .url = url,
                        .body = body,
                        .ca_file = settings_.ca_file,
                        .checks_certificate = settings_.checks_certificate};
  if (const auto secret = authorization()) request.headers.push_back("Authorization: " + *secret);
  if (!body.empty()) request.headers.emplace_back("Content-Type: application/json");
  http::Response response;
  try {
    response = client_->send(request);
  } catch (const Exception& error) {
    const bool is_wrong = error.error().code == ErrorCode::invalid_argument;
    return {.verdict = {.kind = is_wrong ? Kind::hopeless : Kind::not_now, .reason = error.error().message}};
  }
  MlflowVerdict verdict = judged(response.status, response.body);
  verdict.reason = one_line(without_secrets(std::move(verdict.reason)));
  verdict.pause = asked_pause(response);
  return {.verdict = std::move(verdict), .body = std::move(response.body), .status = response.status};
}

std::optional<std::string> MlflowSession::authorization() const {
  if (!settings_.token.empty()) return "Bearer " + settings_.token;
  if (!settings_.user.empty()) return "Basic " + base64(settings_.user + ":" + settings_.password);
  return std::nullopt;
}

/// A server may repeat what it was sent.
std::string MlflowSession::without_secrets(std::string text) const {
  for (const std::string& secret : {settings_.token, settings_.password}) {
    if (secret.empty()) continue;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at))
      text.erase(at, secret.size());
  }
  return text;
}

}  // namespace trireme::tracking
