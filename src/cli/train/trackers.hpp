// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/tracking_flags.hpp"
#include "trireme/base/log.hpp"
#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/environment.hpp"
#include "trireme/tracking/hypertune.hpp"
#include "trireme/tracking/kubeflow.hpp"
#include "trireme/tracking/mlflow.hpp"
#include "trireme/tracking/tracker.hpp"

#include <memory>
#include <optional>
#include <string>

namespace trireme::cli {

/// Which trackers the platform, the environment and the flags ask for.
struct TrackerChoice {
  std::optional<tracking::MlflowSettings> mlflow{};
  std::optional<std::string> tensorboard_dir{};
  std::optional<tracking::HypertuneSettings> hypertune{};
  std::optional<tracking::KubeflowSettings> kubeflow{};
  std::string host;       ///< part of file names
  std::string objective;  ///< what is tuned; not to be reported to MLflow where it is no number: a sweep reads it there
  bool is_trial = false;  ///< of a tuning job
};

/// From what is known of the job. `default_objective`: what the model is worth, where nothing else is asked for. What cannot
/// work is left out, with a warning: no job fails for want of a tracker.
TrackerChoice choose_trackers(const platform::ClusterSpec& cluster, const platform::Environment& environment,
                              const TrackingChoice& choice, const std::string& default_objective, const Log& log);

/// All that were chosen; none of them holds up who reports.
std::unique_ptr<tracking::Tracker> make_trackers(const TrackerChoice& choice, const Log& log);

/// Takes what trackers and clouds are accessed with out of this process's environment, which others could read. What was copied from it before
/// stays.
/// Threads: while there is one.
void scrub_tracking_secrets();

}  // namespace trireme::cli
