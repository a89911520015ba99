// SPDX-License-Identifier: Apache-2.0
#include "parallel/tensor_sums.hpp"

namespace trireme::parallel {

void TensorSums::sum(std::span<double> block_sums) {
  if (owners_) owners_->all_reduce(block_sums, trireme::sum, {.deadline = deadline_, .label = "sums of tensors"});
}

void TensorSums::complete(std::span<double> totals) {
  if (sharers_) sharers_->all_reduce(totals, trireme::sum, {.deadline = deadline_, .label = "sums of shares"});
}

void check_shares(const Optimizer& optimizer, std::span<const Parameter> parameters, bool completes) {
  for (const Parameter& parameter : parameters)
    if (!parameter.logical_shape.empty()) optimizer.check_share(parameter.name, completes);
}

}  // namespace trireme::parallel
