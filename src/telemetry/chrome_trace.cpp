// SPDX-License-Identifier: Apache-2.0
#include "trireme/telemetry/chrome_trace.hpp"

#include "telemetry/json_text.hpp"

#include <cstdio>
#include <ostream>
#include <string_view>

namespace trireme::telemetry {
namespace {

/// The text goes out in pieces: a full recorder is 150 MB of JSON.
constexpr std::size_t piece_bytes = std::size_t{1} << 16;

void append_microseconds(std::string& to, std::int64_t nanoseconds) {
  const std::uint64_t magnitude = nanoseconds < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(nanoseconds)
                                                  : static_cast<std::uint64_t>(nanoseconds);
  char text[32];
  std::snprintf(text, sizeof text, "%s%llu.%03u", nanoseconds < 0 ? "-" : "",
                static_cast<unsigned long long>(magnitude / 1000), static_cast<unsigned>(magnitude % 1000));
  to += text;
}

/// Behind the entry before, which may be written out already.
void begin_entry(std::string& to) { to += to.ends_with('[') ? "\n" : ",\n"; }

/// A metadata event: {"ph": "M", "name": `name`, …, "args": {`key`: `value`}}; `value` is JSON.
void append_metadata(std::string& to, int rank, std::string_view name, std::size_t track, std::string_view key,
                     std::string_view value) {
  begin_entry(to);
  to += "{\"ph\":\"M\",\"name\":\"" + std::string(name) + "\",\"pid\":" + std::to_string(rank) +
        ",\"tid\":" + std::to_string(track) + ",\"args\":{\"" + std::string(key) + "\":";
  to += value;
  to += "}}";
}

std::string quoted(std::string_view text) {
  std::string result;
  append_json_string(result, text);
  return result;
}

void append_names(std::string& to, const SpanRecorder& recorder, const ChromeTraceOptions& options) {
  const std::string process =
      "rank " + std::to_string(options.rank) + (options.host.empty() ? "" : " (" + options.host + ")");
  append_metadata(to, options.rank, "process_name", 0, "name", quoted(process));
  append_metadata(to, options.rank, "process_sort_index", 0, "sort_index", std::to_string(options.rank));
  if (recorder.dropped() != 0) {
    append_metadata(to, options.rank, "process_labels", 0, "labels",
                    quoted("the last " + std::to_string(recorder.dropped()) + " events were dropped"));
  }
  for (std::size_t track = 0; track < recorder.tracks().size(); ++track) {
    append_metadata(to, options.rank, "thread_name", track, "name", quoted(recorder.tracks()[track]));
    append_metadata(to, options.rank, "thread_sort_index", track, "sort_index", std::to_string(track));
  }
}

void append_event(std::string& to, const Event& event, int rank, std::int64_t shift_ns) {
  begin_entry(to);
  to += event.instant ? "{\"ph\":\"i\",\"s\":\"t\",\"name\":" : "{\"ph\":\"X\",\"name\":";
  append_json_string(to, event.name);
  to += ",\"pid\":" + std::to_string(rank) + ",\"tid\":" + std::to_string(static_cast<std::uint32_t>(event.track)) +
        ",\"ts\":";
  append_microseconds(to, event.begin_ns + shift_ns);
  if (!event.instant) {
    to += ",\"dur\":";
    append_microseconds(to, event.end_ns - event.begin_ns);
  }
  if (*event.detail_name != '\0') {
    to += ",\"args\":{";
    append_json_string(to, event.detail_name);
    to += ":" + std::to_string(event.detail_value) + "}";
  }
  to += "}";
}

}  // namespace

void write_chrome_trace(std::ostream& out, const SpanRecorder& recorder, const ChromeTraceOptions& options) {
  const auto events = recorder.events();
  const std::int64_t shift_ns = recorder.unix_offset_ns() - options.origin_unix_ns;
  std::string text = "{\"displayTimeUnit\":\"ns\",\n\"otherData\":{\"rank\":" + std::to_string(options.rank) +
                     ",\"host\":" + quoted(options.host) +
                     ",\"origin_unix_ns\":" + std::to_string(options.origin_unix_ns) +
                     ",\"events\":" + std::to_string(events.size()) +
                     ",\"dropped_events\":" + std::to_string(recorder.dropped()) + "},\n\"traceEvents\":[";
  append_names(text, recorder, options);
  for (const Event& event : events) {
    append_event(text, event, options.rank, shift_ns);
    if (text.size() < piece_bytes) continue;
    out << text;
    text.clear();
  }
  out << text << "\n]}\n";
}

}  // namespace trireme::telemetry
