// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/failure_note.hpp"
#include "cli/train/report.hpp"
#include "cli/train/trackers.hpp"
#include "trireme/tracking/tracker.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace trireme::cli {

/// The course of a training job, as its trackers hear of it: of rank 0, once begun; others' calls do nothing.
/// However the job ends, they hear that too, unless the process is killed.
class Course {
 public:
  /// `patience`: what the end of training may wait for trackers that are slow or away.
  /// `redact`: takes secrets out of the cause of a failure.
  explicit Course(std::chrono::milliseconds patience = std::chrono::seconds(10),
                  Redactor redact = Redactor(platform::Environment()))
      : patience_(patience), redact_(std::move(redact)) {}
  Course(const Course&) = delete;
  Course& operator=(const Course&) = delete;

  /// `settings`: by flag, as settings_of() says. `done`: what there was before, 0 to 1.
  void begin(std::unique_ptr<tracking::Tracker> trackers,
             const std::vector<std::pair<std::string, std::string>>& settings, double done);
  void tag(const std::string& name, const std::string& value);
  void note(const Metric& metric, double done);
  void finish(const TrainResult& result);
  /// Waits 1 s at most: a launcher ends the rest of a failed job then.
  void fail(const std::string& cause);

 private:
  void end(tracking::Ending ending, std::chrono::milliseconds patience);

  std::chrono::milliseconds patience_;
  Redactor redact_;
  std::unique_ptr<tracking::Tracker> trackers_;
  std::chrono::steady_clock::time_point began_{};
  double done_before_ = 0.0;
};

}  // namespace trireme::cli
