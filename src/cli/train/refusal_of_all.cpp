// SPDX-License-Identifier: Apache-2.0
#include "cli/train/refusal_of_all.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

namespace trireme::cli {

void refuse_on_all(World& world, const std::string& flag, const std::string& problem) {
  const auto said =
      world.communicator().all_gather_bytes(std::as_bytes(std::span<const char>(problem)), {.label = flag});
  const auto found = std::find_if(said.begin(), said.end(), [](const auto& each) { return !each.empty(); });
  if (found == said.end()) return;
  const auto rank = static_cast<int>(found - said.begin());
  const bool is_alike = std::all_of(said.begin(), said.end(), [&](const auto& each) { return each == *found; });
  const std::string who = is_alike ? "" : "rank " + std::to_string(rank) + " (" + world.host(rank) + "): ";
  fail(ErrorCode::invalid_argument,
       flag + ": " + who + std::string(reinterpret_cast<const char*>(found->data()), found->size()));
}

}  // namespace trireme::cli
