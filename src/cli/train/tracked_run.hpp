// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/tracking/mlflow.hpp"

#include <string>

namespace trireme::cli {

/// Beside the checkpoints of a job, a line each: the MLflow server, and the run there that the job reports to.
inline constexpr const char* tracked_run_file = "mlflow_run";

/// Lets a job that goes on from the checkpoints in `folder` (`goes_on`) go on with the run that was begun before, where it reports to
/// the same server; and keeps which run that is. A run that others began is left to them.
void follow_run(tracking::MlflowSettings& settings, const std::string& folder, bool goes_on, const Log& log);

}  // namespace trireme::cli
