// SPDX-License-Identifier: Apache-2.0
#include "parallel/closeness.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>

namespace trireme::parallel {
namespace {

/// For each rank the first rank for which `same` holds.
template <class Same>
std::vector<int> firsts(std::size_t ranks, Same same) {
  std::vector<int> result(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    std::size_t first = 0;
    while (first < r && !same(first, r)) ++first;
    result[r] = static_cast<int>(first);
  }
  return result;
}

}  // namespace

std::vector<int> order_by_closeness(std::span<const Location> locations) {
  const std::size_t ranks = locations.size();
  std::vector<int> order(ranks);
  std::iota(order.begin(), order.end(), 0);
  if (std::any_of(locations.begin(), locations.end(), [](Location each) { return each.host < 0; })) return order;

  const auto host = firsts(ranks, [&](std::size_t a, std::size_t b) { return locations[a].host == locations[b].host; });
  std::vector<bool> known(ranks, true);  // by the host's first rank
  for (std::size_t r = 0; r < ranks; ++r) {
    if (locations[r].cache_domain < 0) known[static_cast<std::size_t>(host[r])] = false;
  }
  const auto domain = firsts(ranks, [&](std::size_t a, std::size_t b) {
    if (host[a] != host[b]) return false;
    return !known[static_cast<std::size_t>(host[a])] || locations[a].cache_domain == locations[b].cache_domain;
  });
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const auto i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
    return std::tie(host[i], domain[i]) < std::tie(host[j], domain[j]);
  });
  return order;
}

}  // namespace trireme::parallel
