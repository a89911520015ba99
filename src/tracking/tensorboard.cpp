// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/tensorboard.hpp"

#include "tracking/event_record.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace trireme::tracking {
namespace {

double seconds_of(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

class Tensorboard final : public Tracker {
 public:
  Tensorboard(TensorboardSettings settings, Log log) : settings_(std::move(settings)), log_(std::move(log)) {
    std::error_code error;
    std::filesystem::create_directories(settings_.folder, error);
    if (error) fail_system(settings_.folder, error.value());
    const double now = seconds_of(std::chrono::system_clock::now());
    std::string host = settings_.host;  // a file's name, whatever it is
    std::replace(host.begin(), host.end(), '/', '_');
    const std::string name = settings_.folder + "/events.out.tfevents." +
                             std::to_string(static_cast<std::int64_t>(now)) + "." + host + "." +
                             std::to_string(::getpid());
    file_ = name;
    for (int again = 1; (descriptor_ = open_new(file_)) < 0 && errno == EEXIST; ++again)
      file_ = name + "." + std::to_string(again);
    if (descriptor_ < 0) fail_system(file_, errno);
    write(version_event(now));
  }
  Tensorboard(const Tensorboard&) = delete;
  Tensorboard& operator=(const Tensorboard&) = delete;
  ~Tensorboard() override { close(); }

  void parameters(const std::map<std::string, std::string>&) noexcept override {}
  void tag(const std::string&, const std::string&) noexcept override {}

  void log(const Measurement& measurement) noexcept override try {
    if (measurement.metrics.empty()) return;
    write(
        scalars_event(seconds_of(measurement.time), static_cast<std::int64_t>(measurement.step), measurement.metrics));
    if (const auto now = std::chrono::steady_clock::now(); now - synced_ >= settings_.sync_every) {
      synced_ = now;
      if (descriptor_ >= 0) static_cast<void>(::fsync(descriptor_));  // what it cannot do shows at the next write
    }
  } catch (...) {  // no memory: this report is lost
  }
  void finish(Ending, std::chrono::milliseconds) noexcept override {
    if (descriptor_ >= 0) static_cast<void>(::fsync(descriptor_));
    close();
  }

 private:
  static int open_new(const std::string& file) {
    return ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  }

  void close() noexcept {
    if (descriptor_ >= 0 && ::close(std::exchange(descriptor_, -1)) != 0) warn(errno);
  }

  /// A record that is half there ends the file for a reader: nothing is written behind it.
  void write(const std::string& message) {
    const std::string frame = framed(message);
    for (std::size_t at = 0; descriptor_ >= 0 && at < frame.size();) {
      const auto count = ::write(descriptor_, frame.data() + at, frame.size() - at);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        warn(errno);
        return close();
      }
      at += static_cast<std::size_t>(count);
    }
  }

  void warn(int reason) noexcept try {
    if (!std::exchange(has_warned_, true))
      log_(LogLevel::warning,
           "TensorBoard: " + file_ + ": " + std::strerror(reason) + ": nothing more is written there");
  } catch (...) {
  }

  TensorboardSettings settings_;
  Log log_;
  std::string file_;
  int descriptor_ = -1;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
  bool has_warned_ = false;
};

}  // namespace

std::unique_ptr<Tracker> make_tensorboard_tracker(TensorboardSettings settings, Log log) {
  return std::make_unique<Tensorboard>(std::move(settings), std::move(log));
}

}  // namespace trireme::tracking
