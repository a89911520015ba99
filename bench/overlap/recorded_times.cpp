// SPDX-License-Identifier: Apache-2.0
#include "bench/overlap/recorded_times.hpp"

#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

namespace trireme::bench {

std::vector<RecordedTimes> recorded_times(const Communicator& communicator, const std::string& label) {
  std::vector<RecordedTimes> times;
  const auto recorder = nlohmann::json::parse(communicator.flight_recorder_json());
  for (const auto& operation : recorder["operations"]) {
    if (operation["label"] != label) continue;
    if (operation["outcome"] != "done") fail(ErrorCode::corrupt, "an operation did not end well: " + operation.dump());
    times.push_back({operation["started_ns"], operation["ended_ns"]});
  }
  return times;
}

}  // namespace trireme::bench
