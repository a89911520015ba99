// SPDX-License-Identifier: Apache-2.0
#include "cli/train/evaluator.hpp"

#include "kernels/norm/norm.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/evaluation_share.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string>

namespace trireme::cli {
namespace {

/// The ranks must mean the same samples: a rank with other files would make the loss worthless.
void compare_sizes(Communicator& communicator, std::size_t size) {
  const std::array<std::uint64_t, 1> mine{size};
  std::vector<std::uint64_t> all(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::uint64_t>(mine), std::span<std::uint64_t>(all),
                          {.label = "evaluation samples"});
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    fail(ErrorCode::mismatch, "rank " + std::to_string(rank) + " evaluates " + std::to_string(all[rank]) +
                                  " samples, rank 0 " + std::to_string(all[0]) + ": they have different data");
  }
}

}  // namespace

Score evaluate(Task& task, Part part, Communicator& communicator, const CallOptions& options) {
  const std::size_t size = task.size(part);
  compare_sizes(communicator, size);
  Score score{.loss = std::numeric_limits<double>::quiet_NaN()};
  if (size == 0) return score;
  const layout::Interval share = data::evaluation_share(size, communicator.rank(), communicator.size(), task.block());
  EvaluationSums own;
  task.evaluate(part, share, own);

  const std::size_t block = task.block();
  const auto blocks = [block](layout::Interval of) { return (of.size() + block - 1) / block; };
  std::size_t most = 0;
  for (int rank = 0; rank < communicator.size(); ++rank)
    most = std::max(most, blocks(data::evaluation_share(size, rank, communicator.size(), block)));
  task.evaluate_nothing(most - blocks(share));

  std::vector<double> losses((size + block - 1) / block);  // of each block of all ranks, 0 where it is another's
  std::copy(own.block_losses.begin(), own.block_losses.end(),
            losses.begin() + static_cast<std::ptrdiff_t>(share.begin / block));
  std::array<std::uint64_t, 2> counts{own.targets, own.correct};
  communicator.all_reduce(std::span<std::uint64_t>(counts), sum, options);
  communicator.all_reduce(std::span<double>(losses), sum, options);

  kernels::TreeSum total;
  for (const double each : losses) total.add(each);
  score.loss = total.result() / static_cast<double>(counts[0]);
  switch (task.measure()) {
    case Measure::accuracy: score.accuracy = static_cast<double>(counts[1]) / static_cast<double>(counts[0]); break;
    case Measure::perplexity: score.perplexity = std::exp(score.loss); break;
    case Measure::error: score.error = std::sqrt(2.0 * score.loss); break;
  }
  return score;
}

}  // namespace trireme::cli
