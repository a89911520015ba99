// SPDX-License-Identifier: Apache-2.0
#include "platform/binding.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <tuple>

namespace trireme::platform {
namespace {

/// Unknown domains come last, and together.
auto by_cache(const ProcessorPlace& place) {
  const CacheDomain domain = place.domain.value_or(CacheDomain{most_processors, most_processors});
  return std::make_tuple(domain.node, domain.cache, place.processor);
}

}  // namespace

std::vector<int> bind_ranks(int ranks, const std::vector<ProcessorPlace>& places) {
  if (places.empty())
    fail(ErrorCode::invalid_argument,
         "--bind core: the kernel does not tell which processors may be used; give --bind none");
  auto order = places;
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return by_cache(a) < by_cache(b); });
  std::map<int, int> ranks_on_core;
  std::map<int, int> turn;  // of a processor within its core
  for (const auto& place : order) turn[place.processor] = ranks_on_core[place.core]++;
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto& a, const auto& b) { return turn[a.processor] < turn[b.processor]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(std::max(ranks, 1))));
  // Chosen; now in the order of the caches, whichever processor of a core it is.
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return by_cache(a) < by_cache(b); });
  std::vector<int> processors;
  for (int rank = 0; rank < ranks; ++rank)
    processors.push_back(order[static_cast<std::size_t>(rank) % order.size()].processor);
  return processors;
}

}  // namespace trireme::platform
