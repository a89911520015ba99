// SPDX-License-Identifier: Apache-2.0
#include "tracking/mlflow_answer.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace trireme::tracking {
namespace {

using Json = nlohmann::json;
using Kind = MlflowVerdict::Kind;

constexpr std::size_t most_shown = 200;

Json parsed(std::string_view body) { return Json::parse(body, nullptr, false); }

std::string reason_of(int status, std::string_view body) {
  const std::string said = text_at(body, {"message"});
  return "status " + std::to_string(status) + (said.empty() ? "" : ": " + said);
}

bool is_blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c) != 0; });
}

}  // namespace

std::string text_at(std::string_view body, std::initializer_list<std::string_view> path) {
  const Json whole = parsed(body);
  const Json* at = &whole;
  for (const std::string_view name : path) {
    if (at->is_object()) {
      const auto found = at->find(std::string(name));
      if (found == at->end()) return "";
      at = &*found;
    } else {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      if (!at->is_array() || error != std::errc() || index >= at->size()) return "";
      at = &(*at)[index];
    }
  }
  if (at->is_string()) return at->get<std::string>();
  return at->is_number_integer() ? at->dump() : "";
}

bool is_mlflow_refusal(std::string_view body) { return !text_at(body, {"error_code"}).empty(); }

std::string one_line(std::string text) {
  text = text.substr(0, most_shown);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 32 || c > 126; }, ' ');
  return text;
}

MlflowVerdict judged(int status, std::string_view body) {
  const auto verdict = [&](Kind kind) { return MlflowVerdict{.kind = kind, .reason = reason_of(status, body)}; };
  if (status >= 200 && status < 300) {
    if (is_blank(body) || parsed(body).is_object()) return {};
    return {.kind = Kind::not_now, .reason = "an answer that is not MLflow's"};
  }
  if (status >= 300 && status < 400)
    return {.kind = Kind::hopeless,
            .reason = verdict(Kind::hopeless).reason + ", a redirection, which is not followed"};
  if (status == 408 || status == 425 || status == 429 || status >= 500 || status < 200) return verdict(Kind::not_now);
  if (status == 403) return verdict(Kind::hopeless);
  if (status == 404) return verdict(is_mlflow_refusal(body) ? Kind::hopeless : Kind::not_now);
  return verdict(Kind::refused);
}

}  // namespace trireme::tracking
