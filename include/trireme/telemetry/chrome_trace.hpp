// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/telemetry/span_recorder.hpp"

#include <cstdint>
#include <iosfwd>
#include <string>

namespace trireme::telemetry {

/// Whose events a file holds, and where its time begins.
struct ChromeTraceOptions {
  int rank = 0;
  std::string host{};
  /// Unix time of the file's moment 0, in nanoseconds. Files with the same origin are merged by putting the lists
  /// `traceEvents` behind one another; ranks of one job therefore agree on it.
  std::int64_t origin_unix_ns = 0;
};

/// Writes what was recorded in the Chrome trace event format, as one JSON object, for chrome://tracing and Perfetto.
/// Shape:  traceEvents: "M" events name the process "rank R (host)", pid R, and its tracks, tid from 0; then a complete
///         event "X" per span and an instant event "i" per instant, ts and dur in microseconds with three decimals, args
///         the detail. otherData: rank, host, origin_unix_ns, events, dropped_events. What was dropped is also said in
///         the process's label. Valid JSON whatever names hold: bytes that are no UTF-8 become U+FFFD.
/// Errors: those of the stream, which is left in its failed state.
void write_chrome_trace(std::ostream& out, const SpanRecorder& recorder, const ChromeTraceOptions& options = {});

}  // namespace trireme::telemetry
