// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "cli/train/tasks/task.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace trireme::cli {

/// Text or tokens, for the language model gpt: samples are windows of context + 1 tokens.
/// Errors: those of data::TokenFile; invalid_argument naming the folder that holds no file, or the vocabulary that the model
///         cannot have.
std::unique_ptr<TrainingData> load_text(const TrainOptions& options);

/// The file itself, or the regular files of a folder by name; what leads elsewhere (links) is left out.
/// Errors: invalid_argument naming the folder that holds none.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& path);

/// Bytes as they may stand on a terminal: line ends and printable ASCII as they are, whole UTF-8 characters too, anything else
/// as a question mark.
std::string printable(const std::string& bytes);

}  // namespace trireme::cli
