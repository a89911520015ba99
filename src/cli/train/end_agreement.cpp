// SPDX-License-Identifier: Apache-2.0
#include "cli/train/end_agreement.hpp"

#include "trireme/base/error.hpp"
#include "trireme/models/weights_hash.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/resource.h>

namespace trireme::cli {
namespace {

std::int64_t bits_of(const std::string& hash) {
  std::uint64_t value = 0;
  std::from_chars(hash.data(), hash.data() + hash.size(), value, 16);
  return static_cast<std::int64_t>(value);
}

}  // namespace

void agree_on_ends(World& world, std::span<const Parameter> buffers, TrainResult& result) {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const std::array<std::int64_t, 4> mine{bits_of(result.weights_xxh3), result.stop_signal,
                                         bits_of(models::weights_hash(buffers)), used.ru_maxrss};
  std::vector<std::int64_t> all(mine.size() * static_cast<std::size_t>(world.size()));
  world.communicator().all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(all),
                                  {.label = "weights hash"});
  for (int rank = 0; rank < world.size(); ++rank) {
    const auto at = mine.size() * static_cast<std::size_t>(rank);
    if (all[at] != all[0] || all[at + 2] != all[2]) {
      const std::string what = all[at] != all[0] ? "weights" : "running statistics";
      fail(ErrorCode::mismatch, "rank " + std::to_string(rank) + " (" + world.host(rank) + ") ended with other " +
                                    what + " than rank 0; the result of this run is worthless");
    }
    result.peak_memory_kib = std::max(result.peak_memory_kib, static_cast<std::uint64_t>(all[at + 3]));
    result.stop_signal = std::max(result.stop_signal, static_cast<int>(all[at + 1]));
  }
}

}  // namespace trireme::cli
