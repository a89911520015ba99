// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/platform/environment.hpp"

#include <string>

namespace trireme::cli {

/// What all ranks of one job have in common.
struct Job {
  int world = 1;
  net::Address store;  ///< where the launcher serves the store and the control channel
  net::JobKey key;
  std::string id;
  bool terminal = false;  ///< the launcher's stderr is one
};

/// The environment of `rank`: that of the launcher, torchrun's variables and ours; one thread for OpenMP and BLAS
/// unless the user says otherwise. What another launcher around ours has set for its own ranks is taken out.
platform::Environment rank_environment(platform::Environment inherited, const Job& job, int rank);

}  // namespace trireme::cli
