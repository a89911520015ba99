// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/hypertune.hpp"

#include "tracking/python_float.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <system_error>
#include <utility>

#include <unistd.h>

namespace trireme::tracking {
namespace {

constexpr std::size_t most_records = 100;

/// As Python's json writes text: nothing but ASCII.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

/// One record as a line: keys in order, ", " and ": " between.
std::string line_of(const HypertuneSettings& settings, const Measurement& measurement, double value) {
  // Whole microseconds are exact, and so is all but the last rounding of the division; nanoseconds of today are not.
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(measurement.time.time_since_epoch());
  std::map<std::string, std::string> fields;  // key -> JSON
  fields["timestamp"] = python_float(static_cast<double>(time.count()) / 1e6);
  fields["trial"] = quoted(settings.trial);
  fields[settings.tag] = quoted(python_float(value));
  fields["global_step"] = quoted(std::to_string(measurement.step));
  fields["checkpoint_path"] = quoted("");
  std::string line;
  for (const auto& [key, json] : fields) line += (line.empty() ? "{" : ", ") + quoted(key) + ": " + json;
  return line + "}\n";
}

class Hypertune final : public Tracker {
 public:
  Hypertune(HypertuneSettings settings, Log log) : settings_(std::move(settings)), log_(std::move(log)) {}

  void parameters(const std::map<std::string, std::string>&) noexcept override {}
  void tag(const std::string&, const std::string&) noexcept override {}
  void log(const Measurement& measurement) noexcept override try {
    const auto found = measurement.metrics.find(settings_.metric);
    if (found == measurement.metrics.end() || !std::isfinite(found->second)) return;
    lines_.push_back(line_of(settings_, measurement, found->second));
    if (lines_.size() > most_records) lines_.pop_front();
    has_reported_ = true;
    write();
  } catch (const std::exception& error) {
    warn(error.what());
  }
  void finish(Ending ending, std::chrono::milliseconds) noexcept override try {
    if (!has_reported_ && ending == Ending::finished)
      warn("the metric '" + settings_.metric + "' was never measured: the trial has no objective");
  } catch (...) {
  }

 private:
  void write() {
    const std::filesystem::path file(settings_.file);
    std::error_code error;
    if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path(), error);
    const std::string beside = settings_.file + ".tmp" + std::to_string(::getpid());
    std::FILE* const stream = std::fopen(beside.c_str(), "we");
    if (stream == nullptr) return warn(beside + ": " + std::strerror(errno));
    bool written = true;
    for (const std::string& line : lines_) written &= std::fwrite(line.data(), 1, line.size(), stream) == line.size();
    written &= std::fclose(stream) == 0;
    if (!written || std::rename(beside.c_str(), settings_.file.c_str()) != 0) {
      const int reason = errno;
      ::unlink(beside.c_str());
      warn(settings_.file + ": " + std::strerror(reason));
    }
  }

  void warn(const std::string& what) noexcept {
    if (!std::exchange(has_warned_, true)) log_(LogLevel::warning, "hyperparameter tuning: " + what);
  }

  HypertuneSettings settings_;
  Log log_;
  std::deque<std::string> lines_;
  bool has_reported_ = false;
  bool has_warned_ = false;
};

}  // namespace

std::unique_ptr<Tracker> make_hypertune_tracker(HypertuneSettings settings, Log log) {
  return std::make_unique<Hypertune>(std::move(settings), std::move(log));
}

}  // namespace trireme::tracking
