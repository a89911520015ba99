// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"

namespace trireme::cli {

/// Refuses what does not go with --sync ps, or with one of its consistencies, naming both flags.
/// Errors: invalid_argument.
void check_sync(const TrainOptions& options);

}  // namespace trireme::cli
