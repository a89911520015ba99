// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/data_options.hpp"

#include <filesystem>
#include <vector>

namespace trireme::cli {

/// The file itself, or the regular files of a folder by name; what leads elsewhere (links) is left out.
/// Errors: invalid_argument naming the folder that holds none.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& path);

/// Those that a data set consists of, in their order.
std::vector<std::filesystem::path> files_of(const DatasetSpec& dataset);

}  // namespace trireme::cli
