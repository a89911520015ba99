// SPDX-License-Identifier: Apache-2.0
#include "cli/train/selection.hpp"

#include <cstring>

namespace trireme::cli {

void Selection::note(std::uint64_t step, const Score& score, std::span<const Parameter> parameters,
                     std::span<const Parameter> buffers) {
  if (best_step_ != 0 && !(score.loss < best_.loss)) {
    ++worse_;
    return;
  }
  best_step_ = step;
  best_ = score;
  worse_ = 0;
  if (!options_.keep_best) return;
  values_.resize(parameters.size() + buffers.size());
  auto values = values_.begin();
  for (const std::span<const Parameter> list : {parameters, buffers}) {
    for (const Parameter& each : list) {
      const auto* bytes = static_cast<const std::byte*>(each.value.data);
      (values++)->assign(bytes, bytes + each.value.size_bytes());
    }
  }
}

std::vector<std::vector<std::byte>>& Selection::restore_best(std::uint64_t step, const Score& score,
                                                             std::uint64_t worse, std::span<const std::size_t> sizes) {
  best_step_ = options_.keep_best && sizes.empty() ? 0 : step;
  best_ = score;
  worse_ = worse;
  values_.clear();
  if (options_.keep_best) {
    for (const std::size_t size : sizes) values_.emplace_back(size);
  }
  return values_;
}

void Selection::restore(std::span<const Parameter> parameters, std::span<const Parameter> buffers) const {
  auto values = values_.begin();
  for (const std::span<const Parameter> list : {parameters, buffers}) {
    for (const Parameter& each : list) {
      if (each.value.count != 0) std::memcpy(each.value.data, values->data(), values->size());
      ++values;
    }
  }
}

}  // namespace trireme::cli
