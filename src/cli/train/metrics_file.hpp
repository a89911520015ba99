// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/report.hpp"
#include "trireme/checkpoint/file_system.hpp"

#include <string>

namespace trireme::cli {

/// Beside the exported model.
inline constexpr const char* exported_metrics = "metrics.json";

/// What result_line() tells, under the same names, as one JSON object; null for what is no number.
std::string metrics_json(const TrainResult& result);

/// Writes them into `folder`, in place of what an earlier job left: under another name first.
/// Errors: those of the file system.
void write_metrics(checkpoint::FileSystem& files, const std::string& folder, const TrainResult& result);

}  // namespace trireme::cli
