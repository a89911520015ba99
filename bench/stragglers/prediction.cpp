// SPDX-License-Identifier: Apache-2.0
#include "bench/stragglers/prediction.hpp"

#include <algorithm>
#include <deque>
#include <vector>

namespace trireme::bench {

double predicted_steps_per_second(const testing::Straggling& straggling, std::uint32_t workers,
                                  const ps::Consistency& consistency, double seconds) {
  const bool waits = consistency.kind != ps::ConsistencyKind::asynchronous;
  std::vector<double> ended(workers, 0.0);
  std::deque<double> last_of_step;  ///< when the last worker ended it; of steps s-1-S to s-1
  std::uint64_t done = 0;
  for (std::uint64_t step = 1;; ++step) {
    const bool is_bound = waits && last_of_step.size() > consistency.staleness;
    const double may_begin = is_bound ? last_of_step.front() : 0.0;
    if (is_bound) last_of_step.pop_front();
    bool any = false;
    for (std::uint32_t worker = 0; worker < workers; ++worker) {
      double& time = ended[worker];
      time = std::max(time, may_begin) + 1e-6 * static_cast<double>(straggling.computation(worker, step).count());
      if (time > seconds) continue;
      ++done;
      any = true;
    }
    last_of_step.push_back(*std::max_element(ended.begin(), ended.end()));
    if (!any) return static_cast<double>(done) / seconds;
  }
}

}  // namespace trireme::bench
