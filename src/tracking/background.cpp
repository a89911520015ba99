// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/background.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace trireme::tracking {
namespace {

constexpr std::chrono::milliseconds give_up_time{300};

struct Call {
  std::function<void(Tracker&)> make;
  bool is_measurement = false;
};

/// What the thread and its owner share; it outlives an owner who leaves a thread behind.
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Call> calls;
  bool is_last = false;  ///< no further call will come
  bool is_done = false;
  std::unique_ptr<Tracker> tracker;

  void make_calls() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return is_last || !calls.empty(); });
      if (calls.empty()) break;
      const Call call = std::move(calls.front());
      calls.pop_front();
      lock.unlock();
      call.make(*tracker);
      lock.lock();
    }
    is_done = true;
    changed.notify_all();
  }
};

class Background final : public Tracker {
 public:
  Background(std::unique_ptr<Tracker> tracker, BackgroundOptions options) : options_(std::move(options)) {
    shared_->tracker = std::move(tracker);
    try {
      thread_ = std::thread([shared = shared_] { shared->make_calls(); });
    } catch (const std::system_error& error) {
      fail_system("no thread for " + options_.name, error.code().value());
    }
  }
  ~Background() override { finish(Ending::interrupted, std::chrono::milliseconds(0)); }

  void parameters(const std::map<std::string, std::string>& values) noexcept override {
    add([values](Tracker& tracker) { tracker.parameters(values); }, false);
  }
  void tag(const std::string& name, const std::string& value) noexcept override {
    add([name, value](Tracker& tracker) { tracker.tag(name, value); }, false);
  }
  void log(const Measurement& measurement) noexcept override {
    add([measurement](Tracker& tracker) { tracker.log(measurement); }, true);
  }

  void finish(Ending ending, std::chrono::milliseconds patience) noexcept override try {
    if (!thread_.joinable()) return;
    std::unique_lock lock(shared_->mutex);
    shared_->calls.push_back({[ending, patience](Tracker& tracker) { tracker.finish(ending, patience); }, false});
    shared_->is_last = true;
    shared_->changed.notify_all();
    const auto has_ended = [&] { return shared_->is_done; };
    bool is_done = shared_->changed.wait_for(lock, patience, has_ended);
    const bool is_late = !is_done;
    if (is_late) {  // a thread that still uses a library while the process ends may crash it
      shared_->tracker->give_up();
      is_done = shared_->changed.wait_for(lock, give_up_time, has_ended);
    }
    lock.unlock();
    if (is_late) options_.log(LogLevel::warning, options_.name + " takes too long: its last reports may be missing");
    if (is_done) {
      thread_.join();
      return;
    }
    thread_.detach();
  } catch (...) {
    if (thread_.joinable()) thread_.detach();
  }

 private:
  template <class Made>
  void add(Made make, bool is_measurement) noexcept try {
    bool is_first_drop = false;
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->is_last) return;
      auto& calls = shared_->calls;
      if (is_measurement && calls.size() >= options_.most_waiting) {
        const auto oldest = std::find_if(calls.begin(), calls.end(), [](const Call& c) { return c.is_measurement; });
        if (oldest != calls.end()) calls.erase(oldest);
        is_first_drop = !std::exchange(has_dropped_, true);
      }
      calls.push_back({std::move(make), is_measurement});
    }
    shared_->changed.notify_all();
    if (is_first_drop)
      options_.log(LogLevel::warning, options_.name + " takes too long: its oldest reports are dropped");
  } catch (...) {  // no memory: this report is lost
  }

  BackgroundOptions options_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  bool has_dropped_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Tracker> in_background(std::unique_ptr<Tracker> tracker, BackgroundOptions options) {
  return std::make_unique<Background>(std::move(tracker), std::move(options));
}

}  // namespace trireme::tracking
