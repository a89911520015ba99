// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/http/client.hpp"
#include "trireme/tracking/tracker.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace trireme::tracking {

/// An MLflow server, and the run that is reported to it.
struct MlflowSettings {
  std::string base_url;           ///< "https://host/path", behind which /api/2.0/mlflow/… stands: mlflow_base_url()
  std::string run_id{};           ///< of a run that others began and will end; empty: one is begun and ended here
  std::string experiment_name{};  ///< of a new run; made if there is none of that name
  std::string experiment_id{};    ///< of a new run; "0", the server's default, when both are empty
  std::string run_name{};         ///< of a new run; empty: the server chooses
  /// A run that was begun here before, by a job that this one continues: gone on with where the server still has it.
  std::string earlier_run_id{};
  /// Told the run that is begun or gone on with here, by the thread that reports.
  std::function<void(const std::string& run_id)> on_own_run{};

  std::string token{};             ///< secret; sent as a bearer
  std::string user{}, password{};  ///< secret; used without a token
  std::string token_url{};         ///< where a new token is had for the old one (Azure ML); empty: nowhere
  std::optional<std::chrono::system_clock::time_point> token_expires{};
  std::string ca_file{};           ///< as http::Request has it
  bool checks_certificate = true;  ///< as http::Request has it

  std::size_t most_waiting = 50'000;           ///< values; beyond that the oldest metrics are dropped
  std::chrono::milliseconds first_pause{500};  ///< before a request is tried again; doubled each time
  std::chrono::milliseconds longest_pause{30'000};
};

/// Reports over MLflow's REST interface from a thread of its own: nothing waits for the network. What a server does not take for
/// now (429, 5xx, no answer, an answer that is not MLflow's) is tried again, in order; what it refuses, or fails at while it takes
/// other things, is dropped alone, with one warning. Names and values are cut to what every server takes.
/// A metric that a server took but whose answer was lost is sent again: servers on a database keep it once, on files twice.
/// Errors: system when there is no thread.
std::unique_ptr<Tracker> make_mlflow_tracker(MlflowSettings settings, std::unique_ptr<http::Client> client,
                                             Log log = {});

/// What stands before /api/2.0/mlflow for a tracking URI: "azureml://host/path?query" is "https://host/path".
/// Errors: unsupported, naming the kind and what is possible, for one that is no HTTP server: a folder, a database, Databricks,
///         the ARN of SageMaker's managed MLflow, which wants signed requests.
std::string mlflow_base_url(const std::string& tracking_uri);

/// Where Azure ML gives a new token for a run; empty when `base_url` is not Azure ML's.
std::string azure_token_url(const std::string& base_url, const std::string& experiment_id, const std::string& run_id);

}  // namespace trireme::tracking
