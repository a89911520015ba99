// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/random.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace trireme::tensor_parallel::testing {

using Values = std::vector<double>;

/// Numbers in [-1, 1), a function of `seed`.
inline Values numbers(std::size_t count, std::uint64_t seed) {
  Values values(count);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1;
  for (double& value : values) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    value = static_cast<double>(static_cast<std::int64_t>(state)) * 0x1p-63;
  }
  return values;
}

/// What a rank of an axis has of a whole.
inline Values share_of(const Axis& axis, const Split& split, const Values& whole) {
  Values share;
  for (const layout::Interval range : split.ranges(axis.rank(), axis.size()))
    share.insert(share.end(), whole.begin() + static_cast<std::ptrdiff_t>(range.begin),
                 whole.begin() + static_cast<std::ptrdiff_t>(range.end));
  return share;
}

inline double dot(const Values& a, const Values& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

/// The greatest difference, relative to the greatest number of `wanted`; infinity for other counts.
inline double distance(const Values& found, const Values& wanted) {
  if (found.size() != wanted.size()) return INFINITY;
  double worst = 0, greatest = 1e-300;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(found[i]) != std::isnan(wanted[i])) return INFINITY;
    worst = std::max(worst, std::abs(found[i] - wanted[i]));
    greatest = std::max(greatest, std::abs(wanted[i]));
  }
  return worst / greatest;
}

/// Runs `body` on an axis of so many ranks, threads of this process; each returns what it complains of.
inline std::string on_axis(int ranks, const std::function<std::string(Axis&)>& body,
                           const trireme::testing::RunRanksOptions& options = {}) {
  std::vector<std::string> complaints(static_cast<std::size_t>(ranks));
  trireme::testing::run_ranks(
      ranks,
      [&](World& world) {
        Axis axis(world.communicator());
        complaints[static_cast<std::size_t>(axis.rank())] = body(axis);
      },
      options);
  std::string all;
  for (std::size_t rank = 0; rank < complaints.size(); ++rank)
    if (!complaints[rank].empty()) all += "rank " + std::to_string(rank) + ": " + complaints[rank] + "; ";
  return all;
}

/// "" or what is too far away.
inline std::string close(const char* what, const Values& found, const Values& wanted, double tolerance = 1e-12) {
  const double far = distance(found, wanted);
  return far <= tolerance ? "" : std::string(what) + " is off by " + std::to_string(far) + " ";
}
inline std::string same(const char* what, const Values& found, const Values& wanted) {
  return found == wanted ? "" : std::string(what) + " has other bits ";
}

/// c = op(a) op(b) in plain loops, m x k by k x n.
inline Values times(const Values& a, bool turn_a, const Values& b, bool turn_b, std::size_t m, std::size_t n,
                    std::size_t k) {
  Values c(m * n, 0.0);
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t l = 0; l < k; ++l)
        c[i * n + j] += a[turn_a ? l * m + i : i * k + l] * b[turn_b ? j * k + l : l * n + j];
  return c;
}
inline Values column_sums(const Values& a, std::size_t columns) {
  Values sums(columns, 0.0);
  for (std::size_t i = 0; i < a.size(); ++i) sums[i % columns] += a[i];
  return sums;
}
inline void add_to_rows(Values& a, const Values& bias) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += bias[i % bias.size()];
}

}  // namespace trireme::tensor_parallel::testing
