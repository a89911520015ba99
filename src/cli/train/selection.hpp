// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/evaluator.hpp"
#include "cli/train/options.hpp"
#include "trireme/base/parameter.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::cli {

/// The best of the evaluations so far, by their loss. Scores have the same bits on every rank, so all ranks decide alike at
/// the same step without a word.
class Selection {
 public:
  explicit Selection(const ValidationOptions& options) : options_(options) {}

  /// Whether note() may copy values.
  bool copies() const { return options_.keep_best; }
  /// An evaluation behind `step` steps found this. With keep_best a better one's values are copied.
  void note(std::uint64_t step, const Score& score, std::span<const Parameter> parameters,
            std::span<const Parameter> buffers);
  /// So many evaluations in a row were no better that training shall end.
  bool is_exhausted() const { return options_.patience != 0 && worse_ >= options_.patience; }
  /// Evaluations since the best one.
  std::uint64_t worse() const { return worse_; }
  /// 0: there was none.
  std::uint64_t best_step() const { return best_step_; }
  const Score& best() const { return best_; }

  /// For checkpoints: the copied values, of parameters, then buffers; none without keep_best.
  const std::vector<std::vector<std::byte>>& values() const { return values_; }
  std::vector<std::vector<std::byte>>& values() { return values_; }
  /// What a checkpoint says of the best, and room for its values, to be filled. With keep_best and without values there is no
  /// best one yet.
  std::vector<std::vector<std::byte>>& restore_best(std::uint64_t step, const Score& score, std::uint64_t worse,
                                                    std::span<const std::size_t> sizes);

  /// Puts the copied values in place.
  void restore(std::span<const Parameter> parameters, std::span<const Parameter> buffers) const;

 private:
  ValidationOptions options_;
  std::uint64_t best_step_ = 0;
  Score best_{};
  std::uint64_t worse_ = 0;
  std::vector<std::vector<std::byte>> values_;
};

}  // namespace trireme::cli
