// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/http/client.hpp"
#include "trireme/tracking/tracker.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace trireme::tracking {

/// Where the controller of a Kubeflow TrainJob wants to hear how far it is (feature gate TrainJobStatus, alpha).
struct KubeflowSettings {
  std::string url;         ///< complete
  std::string ca_file{};   ///< of the controller's certificate
  std::string token_file;  ///< read anew for every report: the token in it is replaced while the job runs
  std::chrono::milliseconds every{5'000};  ///< reports in between are left out
};

/// Progress, time left and the newest metrics. A report that fails is dropped: the next says more.
/// log() waits for the network: to be put in_background().
std::unique_ptr<Tracker> make_kubeflow_tracker(KubeflowSettings settings, std::unique_ptr<http::Client> client,
                                               Log log = {});

}  // namespace trireme::tracking
