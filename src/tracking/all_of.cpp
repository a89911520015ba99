// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/tracker.hpp"

#include <cstddef>
#include <future>

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
    if (trackers_.empty()) return;
    {
      std::vector<std::future<void>> others;  // waited for where they are destroyed
      for (std::size_t k = 1; k < trackers_.size(); ++k) {
        const auto finish_it = [&tracker = *trackers_[k], ending, patience] { tracker.finish(ending, patience); };
        try {
          others.push_back(std::async(std::launch::async, finish_it));
        } catch (...) {  // no thread
          finish_it();
        }
      }
      trackers_[0]->finish(ending, patience);
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
