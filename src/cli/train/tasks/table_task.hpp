// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace trireme::cli {

/// Rows of numbers, for linear and logistic regression and mlp: CSV and synthetic ones dense, LibSVM's sparse.
/// Errors: those of the readers in data; invalid_argument when two sets do not fit each other, or when too little is left
///         to train on.
std::unique_ptr<TrainingData> load_table(const TrainOptions& options);

/// Which rows are trained on and which held out, both ascending: row i goes by output i of one fixed stream of random
/// numbers, so that files sorted by label are cut fairly, the same way on every rank, for every seed.
struct RowSplit {
  std::vector<std::uint32_t> training;
  std::vector<std::uint32_t> held_out;
};
/// Errors: those of held_out_of.
RowSplit split_rows(std::size_t rows, double held_out);

}  // namespace trireme::cli
