// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/kubeflow.hpp"

#include "tracking/python_float.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <utility>

namespace trireme::tracking {
namespace {

using Json = nlohmann::json;

constexpr std::size_t most_metrics = 256;
constexpr std::chrono::seconds request_time{5};

std::string rfc3339(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

class Kubeflow final : public Tracker {
 public:
  Kubeflow(KubeflowSettings settings, std::unique_ptr<http::Client> client, Log log)
      : settings_(std::move(settings)), client_(std::move(client)), log_(std::move(log)) {}

  void parameters(const std::map<std::string, std::string>&) noexcept override {}
  void tag(const std::string&, const std::string&) noexcept override {}

  void log(const Measurement& measurement) noexcept override {
    try {
      last_.time = measurement.time;
      if (measurement.done) last_.done = measurement.done;
      last_.left = measurement.left;
      for (const auto& [name, value] : measurement.metrics) {
        if (std::isfinite(value)) last_.metrics[name] = value;
      }
      const auto now = std::chrono::steady_clock::now();
      if (reported_ && now - *reported_ < settings_.every) return;
      reported_ = now;
    } catch (...) {
      return;
    }
    report();
  }

  void finish(Ending ending, std::chrono::milliseconds patience) noexcept override {
    if (patience.count() <= 0) return;
    if (ending == Ending::finished) {
      last_.done = 1.0;
      last_.left = std::chrono::seconds(0);
    }
    last_.time = std::chrono::system_clock::now();
    report();
  }

  void give_up() noexcept override { client_->cancelled = true; }

 private:
  void report() noexcept try {
    std::ifstream file(settings_.token_file);
    std::string token;
    std::getline(file, token);
    Json status{{"lastUpdatedTime", rfc3339(last_.time)}};
    if (last_.done) status["progressPercentage"] = static_cast<int>(100 * std::clamp(*last_.done, 0.0, 1.0));
    if (last_.left) status["estimatedRemainingSeconds"] = last_.left->count();
    for (const auto& [name, value] : last_.metrics) {
      if (status["metrics"].size() == most_metrics) break;
      status["metrics"].push_back({{"name", name}, {"value", python_float(value)}});
    }
    const auto response =
        client_->send({.method = "POST",
                       .url = settings_.url,
                       .headers = {"Authorization: Bearer " + token, "Content-Type: application/json"},
                       .body = Json{{"trainerStatus", status}}.dump(-1, ' ', false, Json::error_handler_t::replace),
                       .timeout = request_time,
                       .ca_file = settings_.ca_file});
    if (response.status >= 300) warn("status " + std::to_string(response.status));
  } catch (const Exception& error) {
    if (!client_->cancelled) warn(error.error().message);
  } catch (...) {
  }

  void warn(const std::string& what) noexcept try {
    if (!std::exchange(has_warned_, true)) log_(LogLevel::warning, "Kubeflow does not take the progress: " + what);
  } catch (...) {
  }

  KubeflowSettings settings_;
  std::unique_ptr<http::Client> client_;
  Log log_;
  Measurement last_;
  std::optional<std::chrono::steady_clock::time_point> reported_;
  bool has_warned_ = false;
};

}  // namespace

std::unique_ptr<Tracker> make_kubeflow_tracker(KubeflowSettings settings, std::unique_ptr<http::Client> client,
                                               Log log) {
  return std::make_unique<Kubeflow>(std::move(settings), std::move(client), std::move(log));
}

}  // namespace trireme::tracking
