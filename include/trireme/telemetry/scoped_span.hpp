// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/telemetry/span_recorder.hpp"

namespace trireme::telemetry {

/// A span from here to the end of the block.
/// Cost: without a recorder (null) one comparison at either end; the clock is not read.
class ScopedSpan {
 public:
  ScopedSpan(SpanRecorder* recorder, Track track, Literal name, Detail detail = {}) noexcept
      : recorder_(recorder), track_(track), name_(name), detail_(detail) {
    if (recorder_ != nullptr) begin_ = SpanRecorder::Clock::now();
  }
  ScopedSpan(const ScopedSpan&) = delete;
  ScopedSpan& operator=(const ScopedSpan&) = delete;
  ~ScopedSpan() {
    if (recorder_ != nullptr) recorder_->span(track_, name_, begin_, SpanRecorder::Clock::now(), detail_);
  }

 private:
  SpanRecorder* recorder_;
  Track track_;
  Literal name_;
  Detail detail_;
  SpanRecorder::Clock::time_point begin_{};
};

}  // namespace trireme::telemetry
