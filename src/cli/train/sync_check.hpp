// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"

#include <cstdint>

namespace trireme::cli {

/// Refuses what does not go with --sync ps, or with one of its consistencies, naming both flags.
/// Errors: invalid_argument.
void check_sync(const TrainOptions& options);

/// Once it is known how many workers there are; workers and servers refuse in the same words.
/// Errors: invalid_argument naming --backup-workers when nobody would be waited for.
void check_backup_workers(const TrainOptions& options, std::uint32_t workers);

}  // namespace trireme::cli
