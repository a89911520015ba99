// SPDX-License-Identifier: Apache-2.0
#include "parallel/step_trace.hpp"

#include "trireme/parallel/data_parallel.hpp"

#include <cstdint>

namespace trireme::parallel {
namespace {

telemetry::Detail detail_of(std::size_t bucket) { return {"bucket", static_cast<std::int64_t>(bucket)}; }
telemetry::Detail row_detail_of(std::size_t index) { return {"row_sparse", static_cast<std::int64_t>(index)}; }

}  // namespace

StepTrace::StepTrace(telemetry::SpanRecorder* recorder, const std::vector<std::string>& bucket_labels,
                     const std::vector<std::string>& row_sparse)
    : recorder_(recorder) {
  if (recorder == nullptr) return;
  steps_ = recorder->track(steps_track);
  small_ = recorder->track("small reductions");
  for (const std::string& label : bucket_labels) buckets_.push_back(recorder->track(label));
  for (const std::string& name : row_sparse) rows_.push_back(recorder->track("rows " + name));
}

void StepTrace::bucket_ready(std::size_t bucket) const noexcept {
  if (on()) recorder_->instant(steps_, "bucket ready", now(), detail_of(bucket));
}

void StepTrace::bucket_reduced(std::size_t bucket, Moment began) const noexcept {
  if (on()) recorder_->span(buckets_[bucket], "reduce", began, now(), detail_of(bucket));
}

void StepTrace::weights_reduced(Moment began) const noexcept {
  if (on()) recorder_->span(small_, "reduce weights", began, now());
}

void StepTrace::counts_reduced(Moment began) const noexcept {
  if (on()) recorder_->span(small_, "reduce counts", began, now());
}

void StepTrace::row_counts_gathered(Moment began) const noexcept {
  if (on()) recorder_->span(small_, "gather row counts", began, now());
}

void StepTrace::rows_gathered(std::size_t index, Moment began) const noexcept {
  if (on()) recorder_->span(rows_[index], "gather rows", began, now(), row_detail_of(index));
}

void StepTrace::rows_reduced(std::size_t index, Moment began) const noexcept {
  if (on()) recorder_->span(rows_[index], "reduce", began, now(), row_detail_of(index));
}

telemetry::ScopedSpan StepTrace::waits_for_rows(std::size_t index) const noexcept {
  return {recorder_, steps_, "wait", row_detail_of(index)};
}

telemetry::ScopedSpan StepTrace::waits_for_bucket(std::size_t bucket) const noexcept {
  return {recorder_, steps_, "wait", detail_of(bucket)};
}

}  // namespace trireme::parallel
