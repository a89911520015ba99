// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/data_files.hpp"
#include "cli/train/tasks/task.hpp"

#include <memory>
#include <string>

namespace trireme::cli {

/// Text or tokens, for the language model gpt: samples are windows of context + 1 tokens.
/// Errors: those of data::TokenFile; invalid_argument naming the folder that holds no file, or the vocabulary that the model
///         cannot have.
std::unique_ptr<TrainingData> load_text(const TrainOptions& options);

/// Bytes as they may stand on a terminal: line ends and printable ASCII as they are, whole UTF-8 characters too, anything else
/// as a question mark.
std::string printable(const std::string& bytes);

}  // namespace trireme::cli
