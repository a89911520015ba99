// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/deadline.hpp"
#include "trireme/tracking/tracker.hpp"

#include <algorithm>

namespace trireme::tracking {
namespace {

class AllOf final : public Tracker {
 public:
  explicit AllOf(std::vector<std::unique_ptr<Tracker>> trackers) : trackers_(std::move(trackers)) {}

  void parameters(const std::map<std::string, std::string>& values) noexcept override {
    for (const auto& each : trackers_) each->parameters(values);
  }
  void tag(const std::string& name, const std::string& value) noexcept override {
    for (const auto& each : trackers_) each->tag(name, value);
  }
  void log(const Measurement& measurement) noexcept override {
    for (const auto& each : trackers_) each->log(measurement);
  }
  void finish(Ending ending, std::chrono::milliseconds patience) noexcept override {
    const Deadline deadline = Deadline::after(patience);
    for (const auto& each : trackers_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.moment() - Deadline::Clock::now());
      each->finish(ending, std::clamp(left, std::chrono::milliseconds(0), patience));
    }
  }

 private:
  std::vector<std::unique_ptr<Tracker>> trackers_;
};

}  // namespace

std::unique_ptr<Tracker> all_of(std::vector<std::unique_ptr<Tracker>> trackers) {
  return std::make_unique<AllOf>(std::move(trackers));
}

}  // namespace trireme::tracking
