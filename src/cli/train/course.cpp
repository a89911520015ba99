// SPDX-License-Identifier: Apache-2.0
#include "cli/train/course.hpp"

#include "cli/train/measurements.hpp"

#include <algorithm>
#include <cctype>

namespace trireme::cli {
namespace {

using tracking::Ending;
using Settings = std::vector<std::pair<std::string, std::string>>;

// Within what platforms leave between a signal and the end, and a launcher between a failure and the end of all.
constexpr std::chrono::milliseconds patience_interrupted{5'000};
constexpr std::chrono::milliseconds patience_failed{1'000};

/// "--learning-rate" is learning_rate: what trackers search by needs no quotes then.
std::string name_of(const std::string& flag) {
  std::string name;
  for (const char c : flag) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      name += c;
    else if (!name.empty() && name.back() != '_')
      name += '_';
  }
  if (!name.empty() && name.back() == '_') name.pop_back();
  return name;
}

}  // namespace

void Course::begin(std::unique_ptr<tracking::Tracker> trackers, const Settings& settings, double done) {
  trackers_ = std::move(trackers);
  began_ = std::chrono::steady_clock::now();
  done_before_ = done;
  std::map<std::string, std::string> values;
  for (const auto& [flag, value] : settings) values[name_of(flag)] = value;
  trackers_->parameters(values);
}

void Course::tag(const std::string& name, const std::string& value) {
  if (trackers_) trackers_->tag(name, value);
}

void Course::note(const Metric& metric, double done) {
  if (!trackers_) return;
  tracking::Measurement measurement{
      .step = metric.step, .time = std::chrono::system_clock::now(), .metrics = measurements_of(metric), .done = done};
  if (done > done_before_) {
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - began_;
    measurement.left = std::chrono::duration_cast<std::chrono::seconds>(taken / (done - done_before_) * (1.0 - done));
  }
  trackers_->log(measurement);
}

void Course::finish(const TrainResult& result) {
  if (!trackers_) return;
  if (result.is_interrupted || result.stop_signal != 0) return end(Ending::interrupted, patience_interrupted);
  trackers_->log({.step = result.steps, .time = std::chrono::system_clock::now(), .metrics = measurements_of(result)});
  trackers_->tag("weights_xxh3", result.weights_xxh3);
  end(Ending::finished, patience_);
}

void Course::fail(const std::string& cause) {
  if (!trackers_) return;
  trackers_->tag("failure", redact_(cause));
  end(Ending::failed, patience_failed);
}

void Course::end(Ending ending, std::chrono::milliseconds patience) {
  trackers_->finish(ending, std::min(patience, patience_));
  trackers_.reset();
}

}  // namespace trireme::cli
