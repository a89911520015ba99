// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/report.hpp"

#include <array>
#include <map>
#include <string>
#include <string_view>

namespace trireme::cli {

/// The numbers of a metric line, by the names they have there.
std::map<std::string, double> measurements_of(const Metric& metric);

/// Those of a result's test set, as in its line.
std::map<std::string, double> measurements_of(const TrainResult& result);

/// Of what a tuning job may go by.
const std::array<std::string_view, 7>& metric_names();

}  // namespace trireme::cli
