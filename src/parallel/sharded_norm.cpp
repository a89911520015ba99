// SPDX-License-Identifier: Apache-2.0
#include "parallel/sharded_norm.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/norm/norm.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/layout/flat_shards.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace trireme::parallel {

ShardedNorm::ShardedNorm(Communicator group, std::span<const Parameter> parameters, const ShardPlan& shards,
                         std::vector<bool> whole, std::optional<std::chrono::milliseconds> deadline)
    : group_(std::move(group)), whole_(std::move(whole)), deadline_(deadline), runs_(parameters.size()) {
  std::size_t all = 0;
  for (int rank = 0; rank < group_.size(); ++rank) {
    const std::size_t before = all;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      if (whole_[p]) continue;
      const std::size_t owned = shards.owned(p, rank).size();
      const Run run{p, all, (owned + layout::reduction_block - 1) / layout::reduction_block};
      if (run.blocks == 0) continue;
      runs_[p].push_back(run);
      if (rank == group_.rank()) own_.push_back(run);
      all += run.blocks;
    }
    counts_.push_back(all - before);
  }
  sums_ = group_.memory().allocate<double>(std::max<std::size_t>(all, 1));
}

double ShardedNorm::operator()(GradientSynchronizer& gradients) {
  const kernels::FloatEnvironment environment;
  const auto sums = sums_.as<double>();
  for (const Run& run : own_) {
    if (!gradients.used(run.parameter)) continue;
    const TensorView part = gradients.gradient(run.parameter);
    const auto* const data = static_cast<const std::byte*>(part.data);
    for (std::size_t b = 0; b < run.blocks; ++b) {
      const std::size_t at = b * layout::reduction_block;
      sums[run.first + b] = kernels::block_sum_of_squares(data + at * size_of(part.dtype), part.dtype,
                                                          std::min(layout::reduction_block, part.count - at));
    }
  }
  const auto rank = static_cast<std::size_t>(group_.rank());
  std::size_t begin = 0, all = 0;
  for (std::size_t r = 0; r < counts_.size(); all += counts_[r++]) begin += r < rank ? counts_[r] : 0;
  group_.all_gather(ConstTensorView(TensorView(sums.subspan(begin, counts_[rank]))), TensorView(sums.first(all)),
                    counts_, {.deadline = deadline_, .label = "gradient norm"});
  kernels::TreeSum total;
  for (std::size_t p = 0; p < runs_.size(); ++p) {
    if (!gradients.used(p)) continue;
    if (whole_[p]) {
      const TensorView gradient = gradients.gradient(p);
      total.add(kernels::sum_of_squares(gradient.data, gradient.dtype, gradient.count));
      continue;
    }
    kernels::TreeSum tensor;
    for (const Run& run : runs_[p]) {
      for (std::size_t b = 0; b < run.blocks; ++b) tensor.add(sums[run.first + b]);
    }
    total.add(tensor.result());
  }
  return std::sqrt(total.result());
}

}  // namespace trireme::parallel
