// SPDX-License-Identifier: Apache-2.0
#include "cli/train/trackers.hpp"

#include "cli/train/measurements.hpp"
#include "trireme/base/error.hpp"
#include "trireme/http/client.hpp"
#include "trireme/platform/secret_variable.hpp"
#include "trireme/tracking/background.hpp"
#include "trireme/tracking/tensorboard.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

namespace trireme::cli {
namespace {

using platform::Environment;
using tracking::Tracker;

/// The first of these variables that is there and not empty.
std::string first_of(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const auto value = environment.find(name); value && !value->empty()) return *value;
  }
  return "";
}

std::optional<std::chrono::system_clock::time_point> moment_of(const std::string& text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr std::int64_t most = std::int64_t{1} << 33;
  if (error != std::errc() || seconds <= 0 || seconds > most) return std::nullopt;
  return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
}

/// As MLflow's own client takes a switch.
bool is_true(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text == "1" || text == "true";
}

/// Azure ML describes a run that it has begun; other servers are described by the variables of MLflow's own client.
std::optional<tracking::MlflowSettings> mlflow_of(const Environment& environment, const Log& log) try {
  const std::string uri = first_of(environment, {"MLFLOW_TRACKING_URI"});
  if (uri.empty()) return std::nullopt;
  const bool is_azure = uri.rfind("azureml://", 0) == 0;
  const auto of = [&](const char* name, const char* azure_name = nullptr) {
    return is_azure && azure_name != nullptr ? first_of(environment, {name, azure_name})
                                             : first_of(environment, {name});
  };
  tracking::MlflowSettings settings{.base_url = tracking::mlflow_base_url(uri)};
  settings.run_id = of("MLFLOW_RUN_ID", "AZUREML_RUN_ID");
  settings.experiment_name = of("MLFLOW_EXPERIMENT_NAME");
  settings.experiment_id = of("MLFLOW_EXPERIMENT_ID", "AZUREML_EXPERIMENT_ID");
  settings.run_name = of("MLFLOW_RUN_NAME");
  settings.token = of("MLFLOW_TRACKING_TOKEN", "AZUREML_RUN_TOKEN");
  settings.user = of("MLFLOW_TRACKING_USERNAME");
  settings.password = of("MLFLOW_TRACKING_PASSWORD");
  settings.ca_file = of("MLFLOW_TRACKING_SERVER_CERT_PATH");
  settings.checks_certificate = !is_true(of("MLFLOW_TRACKING_INSECURE_TLS"));
  settings.token_url = tracking::azure_token_url(settings.base_url, settings.experiment_id, settings.run_id);
  settings.token_expires = moment_of(of("AZUREML_RUN_TOKEN_EXPIRY"));
  return settings;
} catch (const Exception& refusal) {
  log(LogLevel::warning, "MLFLOW_TRACKING_URI: " + refusal.error().message + "; nothing is reported to MLflow");
  return std::nullopt;
}

/// An objective that the platform names, if it is one of ours.
std::string objective_of(const platform::ClusterSpec& cluster, const TrackingChoice& choice,
                         const std::string& default_objective) {
  if (choice.objective) return *choice.objective;
  if (cluster.tuning && cluster.tuning->metric) {
    const auto& known = metric_names();
    if (std::find(known.begin(), known.end(), *cluster.tuning->metric) != known.end()) return *cluster.tuning->metric;
  }
  return default_objective;
}

std::string host_of(const platform::ClusterSpec& cluster) {
  if (!cluster.node_name.empty()) return cluster.node_name;
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "localhost";
}

/// A trial's objective that is no number would be taken for one.
class WithoutEmptyObjective final : public Tracker {
 public:
  WithoutEmptyObjective(std::unique_ptr<Tracker> tracker, std::string objective)
      : tracker_(std::move(tracker)), objective_(std::move(objective)) {}
  void parameters(const std::map<std::string, std::string>& values) noexcept override { tracker_->parameters(values); }
  void tag(const std::string& name, const std::string& value) noexcept override { tracker_->tag(name, value); }
  void log(const tracking::Measurement& measurement) noexcept override {
    const auto found = measurement.metrics.find(objective_);
    if (found == measurement.metrics.end() || std::isfinite(found->second)) return tracker_->log(measurement);
    try {
      tracking::Measurement rest = measurement;
      rest.metrics.erase(objective_);
      tracker_->log(rest);
    } catch (...) {  // no memory: this report is lost
    }
  }
  void finish(tracking::Ending ending, std::chrono::milliseconds patience) noexcept override {
    tracker_->finish(ending, patience);
  }

 private:
  std::unique_ptr<Tracker> tracker_;
  std::string objective_;
};

}  // namespace

TrackerChoice choose_trackers(const platform::ClusterSpec& cluster, const Environment& environment,
                              const TrackingChoice& choice, const std::string& default_objective, const Log& log) {
  TrackerChoice chosen{.host = host_of(cluster), .objective = objective_of(cluster, choice, default_objective)};
  if (!choice.enabled) return chosen;
  chosen.is_trial = cluster.tuning.has_value();
  chosen.mlflow = mlflow_of(environment, log);
  chosen.tensorboard_dir = choice.tensorboard_dir ? choice.tensorboard_dir : cluster.tensorboard_dir;
  if (cluster.tuning && cluster.tuning->metric_file) {
    chosen.hypertune = tracking::HypertuneSettings{.file = *cluster.tuning->metric_file,
                                                   .tag = cluster.tuning->metric.value_or(chosen.objective),
                                                   .trial = cluster.tuning->trial_id,
                                                   .metric = chosen.objective};
    if (chosen.hypertune->trial.empty()) chosen.hypertune->trial = "0";
  }
  if (const std::string url = first_of(environment, {"KUBEFLOW_TRAINER_SERVER_URL"}); !url.empty()) {
    chosen.kubeflow =
        tracking::KubeflowSettings{.url = url,
                                   .ca_file = first_of(environment, {"KUBEFLOW_TRAINER_SERVER_CA_CERT"}),
                                   .token_file = first_of(environment, {"KUBEFLOW_TRAINER_SERVER_TOKEN"})};
  }
  return chosen;
}

std::unique_ptr<Tracker> make_trackers(const TrackerChoice& choice, const Log& log) {
  std::vector<std::unique_ptr<Tracker>> all;
  const auto add = [&](const std::string& name, const auto& make) {
    try {
      all.push_back(make());
    } catch (const Exception& refusal) {
      log(LogLevel::warning, name + ": " + refusal.error().message + "; nothing is reported there");
    }
  };
  const auto in_background = [&](const std::string& name, std::unique_ptr<Tracker> tracker) {
    return tracking::in_background(std::move(tracker), {.name = name, .log = log});
  };
  if (choice.hypertune) {
    add("hyperparameter tuning", [&] {
      return in_background("hyperparameter tuning", tracking::make_hypertune_tracker(*choice.hypertune, log));
    });
  }
  if (choice.tensorboard_dir) {
    add("TensorBoard", [&] {
      return in_background("TensorBoard", tracking::make_tensorboard_tracker(
                                              {.folder = *choice.tensorboard_dir, .host = choice.host}, log));
    });
  }
  if (choice.mlflow) {
    add("MLflow", [&]() -> std::unique_ptr<Tracker> {
      auto tracker = tracking::make_mlflow_tracker(*choice.mlflow, http::make_client(), log);
      if (!choice.is_trial) return tracker;
      return std::make_unique<WithoutEmptyObjective>(std::move(tracker), choice.objective);
    });
  }
  if (choice.kubeflow) {
    add("Kubeflow", [&] {
      return in_background("Kubeflow", tracking::make_kubeflow_tracker(*choice.kubeflow, http::make_client(), log));
    });
  }
  return tracking::all_of(std::move(all));
}

void scrub_tracking_secrets() {
  constexpr const char* address = "MLFLOW_TRACKING_URI";  // may hold a user and a password
  if (const char* text = ::getenv(address); text != nullptr && std::strchr(text, '@') != nullptr)
    platform::scrub_variable(address);
  for (const char* name : {"MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
                           "AZUREML_RUN_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET"})
    platform::scrub_variable(name);
}

}  // namespace trireme::cli
