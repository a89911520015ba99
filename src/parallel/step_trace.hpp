// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/telemetry/scoped_span.hpp"
#include "trireme/telemetry/span_recorder.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace trireme::parallel {

/// What a step tells a recorder; without one (null) nothing, and the clock is not read.
///
/// Tracks: "steps", what the calling thread does; "small reductions", the sum of the weights and the counts; one per
///         bucket and per row-sparse parameter, from the start of its all_reduce until this thread has seen it done.
class StepTrace {
 public:
  using Moment = telemetry::SpanRecorder::Clock::time_point;

  /// `bucket_labels`: the name of each bucket's track; `row_sparse`: names of the parameters whose rows travel alone.
  StepTrace(telemetry::SpanRecorder* recorder, const std::vector<std::string>& bucket_labels,
            const std::vector<std::string>& row_sparse);

  bool on() const noexcept { return recorder_ != nullptr; }
  Moment now() const noexcept { return on() ? telemetry::SpanRecorder::Clock::now() : Moment{}; }

  void bucket_ready(std::size_t bucket) const noexcept;
  void bucket_reduced(std::size_t bucket, Moment began) const noexcept;
  void weights_reduced(Moment began) const noexcept;
  void counts_reduced(Moment began) const noexcept;
  void row_counts_gathered(Moment began) const noexcept;
  /// Of the row-sparse parameter `index` in the order of its list: which rows, then the rows.
  void rows_gathered(std::size_t index, Moment began) const noexcept;
  void rows_reduced(std::size_t index, Moment began) const noexcept;
  /// The rest of the block is a wait for …
  telemetry::ScopedSpan waits_for_bucket(std::size_t bucket) const noexcept;
  telemetry::ScopedSpan waits_for_rows(std::size_t index) const noexcept;
  telemetry::ScopedSpan waits_for_weights() const noexcept { return on_steps("wait for weights"); }
  telemetry::ScopedSpan waits_for_counts() const noexcept { return on_steps("wait for counts"); }
  /// The rest of the block has this name.
  telemetry::ScopedSpan on_steps(telemetry::Literal name) const noexcept { return {recorder_, steps_, name}; }

 private:
  telemetry::SpanRecorder* recorder_;
  telemetry::Track steps_{};
  telemetry::Track small_{};
  std::vector<telemetry::Track> buckets_;
  std::vector<telemetry::Track> rows_;
};

}  // namespace trireme::parallel
