// SPDX-License-Identifier: Apache-2.0
#include "tracking/mlflow_item.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

namespace trireme::tracking {
namespace {

using Json = nlohmann::json;

constexpr std::size_t most_metrics = 1000;
constexpr std::size_t most_others = 100;
constexpr std::size_t most_bytes = 900'000;  // of 1 MB, which some servers count before and some behind decoding
constexpr std::size_t most_key_bytes = 250;

Json number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return value;
}

const char* list_of(MlflowItem::Kind kind) {
  switch (kind) {
    case MlflowItem::Kind::metric: return "metrics";
    case MlflowItem::Kind::parameter: return "params";
    case MlflowItem::Kind::tag: return "tags";
  }
  return "";
}

/// Not below what it takes as JSON: a byte of a text is at most six there.
std::size_t most_bytes_of(const MlflowItem& item) { return 128 + 6 * (item.key.size() + item.text.size()); }

}  // namespace

std::int64_t mlflow_time(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string mlflow_key(std::string_view name) {
  std::string key(name.substr(0, most_key_bytes));
  for (char& c : key) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_plain && std::string_view("_-. /:").find(c) == std::string_view::npos) c = '_';
  }
  return key.empty() ? "_" : key;
}

std::string mlflow_text(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most != 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return std::string(text.substr(0, most));
}

std::size_t mlflow_batch(const std::deque<MlflowItem>& items) {
  std::set<std::string_view> keys;
  std::size_t count = 0, bytes = 0;
  for (const MlflowItem& item : items) {
    const bool is_metric = item.kind == MlflowItem::Kind::metric;
    bytes += most_bytes_of(item);
    if (item.kind != items.front().kind || count == (is_metric ? most_metrics : most_others)) break;
    if (count != 0 && (bytes > most_bytes || (!is_metric && !keys.insert(item.key).second))) break;
    if (count == 0) keys.insert(item.key);
    ++count;
  }
  return count;
}

std::string mlflow_batch_body(const std::string& run_id, std::span<const MlflowItem> items) {
  Json body{{"run_id", run_id}};
  for (const MlflowItem& item : items) {
    Json entry{{"key", item.key}};
    if (item.kind == MlflowItem::Kind::metric) {
      entry["value"] = number(item.value);
      entry["timestamp"] = item.timestamp_ms;
      entry["step"] = item.step;
    } else {
      entry["value"] = item.text;
    }
    body[list_of(item.kind)].push_back(std::move(entry));
  }
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace trireme::tracking
