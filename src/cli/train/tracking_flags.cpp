// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tracking_flags.hpp"

#include "cli/train/measurements.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

}  // namespace

TrackingFlags::TrackingFlags(Arguments& flags) {
  flags.option("--tensorboard-dir", tensorboard_dir_,
               "folder for TensorBoard's event files (default: where the platform looks for them, if it does)");
  flags.option("--objective", objective_,
               "the metric that hyperparameter tuning goes by (default val_accuracy, of models without one val_loss)");
  flags.flag("--no-tracking", no_tracking_,
             "metrics on stdout alone, whatever trackers the environment names (MLflow, TensorBoard, tuning)");
}

TrackingChoice TrackingFlags::checked(const Arguments& flags) const {
  TrackingChoice choice{.enabled = !no_tracking_};
  if (flags.given("--tensorboard-dir")) {
    if (no_tracking_) refuse("--tensorboard-dir and --no-tracking exclude each other: give one");
    if (tensorboard_dir_.empty()) refuse("--tensorboard-dir: the name of the folder is empty");
    choice.tensorboard_dir = tensorboard_dir_;
  }
  if (flags.given("--objective")) {
    const auto& known = metric_names();
    if (std::find(known.begin(), known.end(), objective_) == known.end()) {
      std::string list;
      for (const std::string_view each : known) list += (list.empty() ? "" : ", ") + std::string(each);
      refuse("--objective is '" + objective_ + "'; this version has: " + list);
    }
    choice.objective = objective_;
  }
  return choice;
}

}  // namespace trireme::cli
