// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/tracking/tracker.hpp"

#include <memory>
#include <string>

namespace trireme::tracking {

/// Where a trial of Vertex AI's hyperparameter tuning reports its objective.
struct HypertuneSettings {
  std::string file = "/tmp/hypertune/output.metrics";
  std::string tag = "training/hptuning/metric";  ///< what the study calls the objective
  std::string trial = "0";
  std::string metric;  ///< the one that is the objective; others, and values that are no number, are not reported
};

/// One JSON object per line and report, the last 100: the whole file is written anew beside itself and renamed, so that it
/// is whole at every moment. Its folder is made.
/// Source: the bytes that the package cloudml-hypertune 0.1.0.dev6 writes.
std::unique_ptr<Tracker> make_hypertune_tracker(HypertuneSettings settings, Log log = {});

}  // namespace trireme::tracking
