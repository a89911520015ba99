// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tracking/mlflow_answer.hpp"
#include "tracking/mlflow_item.hpp"
#include "trireme/http/client.hpp"
#include "trireme/tracking/mlflow.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace trireme::tracking {

/// The requests that a run is made of, one at a time. Nothing of it retries, except that a token which has run out is replaced.
/// Threads: one caller; another may cancel().
class MlflowSession {
 public:
  MlflowSession(MlflowSettings settings, std::unique_ptr<http::Client> client)
      : settings_(std::move(settings)), client_(std::move(client)), began_(std::chrono::system_clock::now()) {}

  /// One step on the way to a run; has_run() says whether there is one.
  MlflowVerdict begin();
  bool has_run() const { return !settings_.run_id.empty(); }
  /// Whether it was begun here, and so is to be ended here.
  bool is_own_run() const { return is_own_run_; }
  /// Whether it was begun by a job that this one continues.
  bool goes_on() const { return goes_on_; }
  const std::string& run_id() const { return settings_.run_id; }

  MlflowVerdict log(std::span<const MlflowItem> items);
  /// Whether the server takes anything at all for this run: the mark that runs begun here bear.
  MlflowVerdict probe();
  MlflowVerdict end(Ending ending);

  /// When the token should be replaced, though nothing is to be sent: Azure ML replaces only one that still counts.
  std::optional<std::chrono::system_clock::time_point> token_due() const;
  MlflowVerdict replace_token();

  void cancel() { client_->cancelled = true; }

 private:
  struct Answer {
    MlflowVerdict verdict;
    std::string body{};
    int status = 0;
  };
  MlflowVerdict go_on_with_earlier();
  MlflowVerdict make_run();
  MlflowVerdict find_experiment();
  /// Of this session alone.
  std::string mark() const;
  Answer call(const std::string& method, const std::string& path, const std::string& body = "");
  Answer exchange(const std::string& method, const std::string& url, const std::string& body);
  std::optional<std::string> authorization() const;
  std::string without_secrets(std::string text) const;

  MlflowSettings settings_;
  std::unique_ptr<http::Client> client_;
  std::chrono::system_clock::time_point began_;
  bool is_own_run_ = false;
  bool goes_on_ = false;
  bool has_met_twin_ = false;       ///< an experiment of the same name that could not be found
  bool may_have_made_run_ = false;  ///< the answer to runs/create did not come
  std::optional<std::chrono::system_clock::time_point> next_token_{};  ///< once one was asked for
};

}  // namespace trireme::tracking
