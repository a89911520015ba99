// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/split.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

namespace trireme::ps {
namespace {

void check_workers(std::size_t workers) {
  if (workers == 0) fail(ErrorCode::invalid_argument, "a parameter server's split: there are no workers");
}

void check_speeds(std::span<const double> speeds, const char* whose) {
  for (std::size_t i = 0; i < speeds.size(); ++i) {
    if (std::isfinite(speeds[i]) && speeds[i] > 0) continue;
    fail(ErrorCode::invalid_argument, "a parameter server's split: the link of " + std::string(whose) + " " +
                                          std::to_string(i) + " carries " + std::to_string(speeds[i]) + " bytes/s");
  }
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100.0 * share);
  return text;
}

/// "12.5 %" or "10.0 % to 12.5 %".
std::string range_of(std::span<const double> shares) {
  const auto [least, most] = std::minmax_element(shares.begin(), shares.end());
  return percent(*least) == percent(*most) ? percent(*least) : percent(*least) + " to " + percent(*most);
}

std::string explain_split(std::span<const double> shares, std::size_t workers, std::span<const double> speeds,
                          double seconds, bool bound_by_worker) {
  const std::size_t spare = shares.size() - workers;
  if (workers == 1) return "1 worker: all keys lie beside it, and nothing travels";
  std::string text = std::to_string(workers) + " workers hold " + range_of(shares.first(workers)) + " each";
  if (spare != 0) {
    text += ", " + std::to_string(spare) + " spare " + (spare == 1 ? "server " : "servers ") +
            range_of(shares.last(spare)) + (spare == 1 ? "" : " each");
  }
  char time[128];
  const auto slowest = std::min_element(speeds.begin(), speeds.begin() + static_cast<std::ptrdiff_t>(workers));
  if (bound_by_worker) {
    std::snprintf(time, sizeof time, ": %.4g s a step, which worker %td's own gradients take at %.4g MB/s", seconds,
                  slowest - speeds.begin(), *slowest / 1e6);
  } else {
    std::snprintf(time, sizeof time, ": %.4g s a step on every link", seconds);
  }
  return text + time;
}

}  // namespace

OptimalSplit OptimalSplit::of(std::uint32_t workers, std::uint32_t spare) {
  check_workers(workers);
  OptimalSplit split{.workers = workers, .spare = spare};
  if (workers == 1) return split;  // beside its only worker nothing has to travel
  const double n = workers, k = spare;
  if (spare >= workers) {
    split.share_of_worker = 0.0;
    split.share_of_spare = 1.0 / k;
    return split;
  }
  const double all = n * n + k * n - 2 * k;
  split.share_of_worker = (n - k) / all;
  split.share_of_spare = spare == 0 ? 0.0 : 2 * (n - 1) / all;
  return split;
}

std::vector<double> OptimalSplit::shares() const {
  std::vector<double> list(workers, share_of_worker);
  list.insert(list.end(), spare, share_of_spare);
  return list;
}

double seconds_all_reduce(std::uint32_t workers, Bytes model, double bytes_per_second) {
  check_workers(workers);
  const double n = workers;
  return 2 * (n - 1) * static_cast<double>(model.value) / (n * bytes_per_second);
}

double seconds_spare_only(std::uint32_t workers, std::uint32_t spare, Bytes model, double bytes_per_second) {
  check_workers(workers);
  if (spare == 0) return std::numeric_limits<double>::infinity();
  const double seconds = static_cast<double>(model.value) / bytes_per_second;
  return seconds * std::max(1.0, static_cast<double>(workers) / spare);
}

double seconds_optimal(std::uint32_t workers, std::uint32_t spare, Bytes model, double bytes_per_second) {
  check_workers(workers);
  const double n = workers, k = std::min(spare, workers);
  if (workers == 1) return 0.0;
  return 2 * n * (n - 1) * static_cast<double>(model.value) / ((n * n + k * n - 2 * k) * bytes_per_second);
}

// In units of M: worker i's link carries 1 + (n-2) y_i each way (what others hold of its gradients, and what it holds of
// theirs), a spare server's n x_j. A time T allows each so much; the least T at which that adds up to everything is linear.
MeasuredSplit split_for(std::span<const double> worker_bytes_per_second, std::span<const double> spare_bytes_per_second,
                        Bytes model) {
  const std::size_t workers = worker_bytes_per_second.size(), spare = spare_bytes_per_second.size();
  check_workers(workers);
  check_speeds(worker_bytes_per_second, "worker");
  check_speeds(spare_bytes_per_second, "spare server");
  MeasuredSplit split;
  split.shares.assign(workers + spare, 0.0);
  std::vector<double> speeds(worker_bytes_per_second.begin(), worker_bytes_per_second.end());
  speeds.insert(speeds.end(), spare_bytes_per_second.begin(), spare_bytes_per_second.end());
  if (workers == 1) {
    split.shares.front() = 1.0;
    split.explanation = explain_split(split.shares, workers, speeds, 0.0, false);
    return split;
  }
  const double n = static_cast<double>(workers);
  const double of_workers = std::accumulate(worker_bytes_per_second.begin(), worker_bytes_per_second.end(), 0.0);
  const double of_spare = std::accumulate(spare_bytes_per_second.begin(), spare_bytes_per_second.end(), 0.0);
  const double own = 1.0 / *std::min_element(worker_bytes_per_second.begin(), worker_bytes_per_second.end());
  // Seconds per byte of the model.
  double time = own;
  if (workers > 2) time = std::max(own, (1 + n / (n - 2)) / (of_workers / (n - 2) + of_spare / n));
  double all = 0.0;
  for (std::size_t j = 0; j < spare; ++j)
    all += split.shares[workers + j] = std::min(1.0, time * spare_bytes_per_second[j] / n);
  for (std::size_t i = 0; i < workers; ++i) {
    double& share = split.shares[i];
    if (workers > 2) {
      share = std::clamp((time * worker_bytes_per_second[i] - 1) / (n - 2), 0.0, 1.0);
    } else {
      // Of two workers each sends all its gradients or their sums, however keys are divided between the two.
      share = std::max(0.0, 1 - std::min(1.0, time * of_spare / n)) * worker_bytes_per_second[i] / of_workers;
    }
    if (share < 1e-12) share = 0.0;
    all += share;
  }
  for (double& share : split.shares) share /= all;
  split.seconds = time * static_cast<double>(model.value);
  split.explanation = explain_split(split.shares, workers, speeds, split.seconds, time == own);
  return split;
}

}  // namespace trireme::ps
