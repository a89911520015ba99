// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// Whether `code` ends a world, so that what its ranks did last is worth keeping.
bool is_failure_of_world(const Error& error);

/// The flight recorders of a rank, each as Communicator::flight_recorder_json gives it, as one line of JSON.
std::string recorders_line(int rank, const std::vector<std::string>& recorders);

/// The last few operations of each recorder, one line each.
std::string recorders_summary(int rank, const std::vector<std::string>& recorders);

/// Keeps the recorders of a rank whose world has failed: all of them in a file of `folder` where there is one, else a
/// summary. Returns what to say about it on stderr, in whole lines.
std::string keep_recorders(int rank, const std::vector<std::string>& recorders,
                           const std::optional<std::string>& folder);

}  // namespace trireme::cli
