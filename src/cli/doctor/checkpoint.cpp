// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/checkpoint.hpp"

#include "checkpoint/foreign_text.hpp"
#include "trireme/base/dtype.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <string_view>
#include <variant>
#include <vector>

namespace trireme::cli {
namespace {

using checkpoint::InspectedCheckpoint;
using Json = nlohmann::ordered_json;

std::string hex_of(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, value);
  return text;
}

Json checkpoint_json(const InspectedCheckpoint& each, bool with_tensors) {
  Json json{{"step", each.step},
            {"generation", each.attempt.generation},
            {"attempt", hex_of(each.attempt.id)},
            {"world", each.world},
            {"saved_ms", each.saved_ms},
            {"tensors", each.tensors.size()},
            {"bytes", each.bytes},
            {"complete", each.is_good()},
            {"problems", each.problems},
            {"values", Json::object()}};
  for (const auto& [name, value] : each.values)
    std::visit([&, &key = name](const auto& one) { json["values"][key] = one; }, value);
  if (!with_tensors) return json;
  json["tensor_list"] = Json::array();
  for (const auto& tensor : each.tensors)
    json["tensor_list"].push_back({{"name", tensor.name}, {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}});
  return json;
}

/// "2026-11-29 14:01:05 UTC".
std::string time_text(std::uint64_t unix_ms) {
  constexpr std::uint64_t last = 253'402'300'799'999;  // of the year 9999
  if (unix_ms > last) return "unknown";
  const auto moment = std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(unix_ms));
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(moment) - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d UTC", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  constexpr std::array<const char*, 6> units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, units[unit]);
  return text;
}

using Row = std::vector<std::string>;

Row row_of(const InspectedCheckpoint& each) {
  return {std::to_string(each.step),
          std::to_string(each.world),
          size_text(each.bytes),
          time_text(each.saved_ms),
          std::to_string(each.attempt.generation),
          each.is_good() ? "ok" : "not complete, or damaged"};
}

std::string line_of(const Row& row, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t c = 0; c < row.size(); ++c) {
    line += row[c];
    if (c + 1 < row.size()) line.append(widths[c] - row[c].size() + 2, ' ');
  }
  return line + "\n";
}

std::string tensor_line(const InspectedCheckpoint::Tensor& tensor) {
  std::string line = "    " + checkpoint::shown(tensor.name) + " " + std::string(name_of(tensor.dtype)) + " [";
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) line += (i == 0 ? "" : ", ") + std::to_string(tensor.shape[i]);
  return line + "]\n";
}

}  // namespace

bool is_sound(const checkpoint::Inspection& inspection) {
  const auto is_good = [](const InspectedCheckpoint& each) { return each.is_good(); };
  return !inspection.checkpoints.empty() && inspection.damaged.empty() &&
         std::all_of(inspection.checkpoints.begin(), inspection.checkpoints.end(), is_good);
}

std::string to_json(const CheckpointReport& report) {
  const checkpoint::Inspection& found = report.inspection;
  const InspectedCheckpoint* const newest = found.newest_good();
  Json json{{"path", report.path},
            {"newest", newest == nullptr ? Json(nullptr) : Json(newest->step)},
            {"checkpoints", Json::array()},
            {"leftovers", found.leftovers},
            {"damaged", Json::array()}};
  for (const InspectedCheckpoint& each : found.checkpoints)
    json["checkpoints"].push_back(checkpoint_json(each, report.tensors));
  for (const auto& each : found.damaged) json["damaged"].push_back({{"file", each.file}, {"what", each.what}});
  // Names of files may hold any bytes; JSON only UTF-8.
  return Json{{"checkpoint", json}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_text(const CheckpointReport& report) {
  const checkpoint::Inspection& found = report.inspection;
  std::vector<Row> rows{{"step", "ranks", "size", "saved", "attempt", "state"}};
  for (const InspectedCheckpoint& each : found.checkpoints) rows.push_back(row_of(each));
  std::vector<std::size_t> widths(rows[0].size());
  for (const Row& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  if (found.checkpoints.empty()) {
    text = "no checkpoint in " + report.path + ", where " + std::to_string(found.attempts.size()) +
           (found.attempts.size() == 1 ? " attempt" : " attempts") + " began\n";
  } else {
    text = line_of(rows[0], widths);
  }
  for (std::size_t i = 0; i < found.checkpoints.size(); ++i) {
    text += line_of(rows[i + 1], widths);
    for (const std::string& problem : found.checkpoints[i].problems) text += "    " + problem + "\n";
    if (!report.tensors) continue;
    for (const auto& tensor : found.checkpoints[i].tensors) text += tensor_line(tensor);
  }
  for (const auto& each : found.damaged) text += "damaged " + each.file + ": " + each.what + "\n";
  for (const std::string& file : found.leftovers) text += "of no checkpoint: " + file + "\n";
  return text;
}

}  // namespace trireme::cli
