// SPDX-License-Identifier: Apache-2.0
#include "platform/own_variables.hpp"

#include "base/near_name.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <vector>

namespace trireme::platform {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view prefix = "TRIREME_";

// The test own_variables compares them with what the sources ask for.
constexpr std::array names{"ALGORITHM"sv,
                           "CACHE_GROUPS"sv,
                           "DEVICE"sv,
                           "DEVICE_ENGINE"sv,
                           "ENGINE"sv,
                           "GPU_COUNT"sv,
                           "GROUP_ROLES"sv,
                           "INTERFACE"sv,
                           "INTERRUPTION"sv,
                           "JOB_ID"sv,
                           "JOB_KEY"sv,
                           "JOB_KEY_FILE"sv,
                           "JOIN_TIMEOUT_S"sv,
                           "LOG"sv,
                           "MASTER"sv,
                           "METADATA_ADDRESS"sv,
                           "MPI_MODULE"sv,
                           "NCCL_LIBRARY"sv,
                           "NNODES"sv,
                           "NODE_RANK"sv,
                           "PORT_RANGE"sv,
                           "PROCS_PER_NODE"sv,
                           "PROGRAM"sv,
                           "PROGRESS"sv,
                           "RECORDER_DIR"sv,
                           "ROLE"sv,
                           "ROOT"sv,
                           "SERVERS"sv,
                           "SERVER_INDEX"sv,
                           "STORE"sv,
                           "STORE_ADDR"sv,
                           "TCP_BUFFER_BYTES"sv,
                           "TCP_CONGESTION"sv,
                           "TCP_FLOWS"sv,
                           "TIMEOUT_S"sv,
                           "TLS"sv,
                           "TRACKING_TIMEOUT_S"sv,
                           "TRANSPORT"sv};
static_assert(std::ranges::is_sorted(names));

/// As near_name() compares them: TIMEOUT_S is timeout-s.
std::string folded(std::string_view name) {
  std::string text(name);
  for (char& each : text) each = each == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
  return text;
}

}  // namespace

std::span<const std::string_view> own_variables() { return names; }

void warn_of_misspelt_variables(const Environment& environment, ClusterSpec& spec) {
  const auto& variables = environment.variables();
  std::vector<std::string> known;
  for (auto at = variables.lower_bound(prefix); at != variables.end() && at->first.starts_with(prefix); ++at) {
    const std::string_view name = std::string_view(at->first).substr(prefix.size());
    if (name.starts_with("HP_") || std::ranges::binary_search(names, name)) continue;
    if (known.empty()) std::ranges::transform(names, std::back_inserter(known), folded);
    const auto near = near_name(name, known);
    if (!near) continue;
    const auto meant = std::ranges::find(names, *near, folded);
    spec.warnings.push_back(at->first + " is no variable of Trireme's and nobody reads it; did you mean " +
                            std::string(prefix) + std::string(*meant) + "?");
  }
}

}  // namespace trireme::platform
