// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/telemetry/span_recorder.hpp"

#include <cstdint>
#include <fstream>
#include <optional>
#include <string>

namespace trireme::cli {

/// What `--trace` asks for: the recorder of this rank, and its file. Without the flag there is neither. The file is
/// written at the end of its life, so also when training has failed; what then goes wrong, or is missing, is a line on
/// stderr.
class StepsTrace {
 public:
  /// Takes the file for itself, emptied, before anything is trained.
  /// Errors: invalid_argument naming the flag when it cannot be written.
  StepsTrace(const std::optional<std::string>& file, int rank, int world, std::string host);
  StepsTrace(const StepsTrace&) = delete;
  StepsTrace& operator=(const StepsTrace&) = delete;
  ~StepsTrace();

  /// Null without the flag.
  telemetry::SpanRecorder* recorder() { return recorder_ ? &*recorder_ : nullptr; }
  /// Makes rank 0's time of day the moment 0 of every rank's file. Collective, with and without the flag.
  void agree_on_origin(Communicator communicator);

 private:
  std::string write();
  std::string path_;
  int rank_;
  std::string host_;
  std::int64_t origin_unix_ns_ = 0;
  std::ofstream file_;
  std::optional<telemetry::SpanRecorder> recorder_;
};

/// The file of `rank`: `file` itself in a world of one, else with the rank before the extension: trace.json is
/// trace.rank0.json, trace is trace.rank0.
std::string trace_path(const std::string& file, int rank, int world);

}  // namespace trireme::cli
