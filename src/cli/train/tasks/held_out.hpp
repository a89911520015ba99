// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/data_options.hpp"

#include <cstddef>

namespace trireme::cli {

/// The share of text or rows that is not trained on: as --held-out says, else none beside a --test-dataset or of samples so few
/// that a tenth would be none, else a tenth.
double wanted_held_out(const DataOptions& options, std::size_t samples);

/// floor(share * samples): how many of them are not trained on.
/// Errors: invalid_argument naming --held-out when none is left to train on, or none is held out although some were asked
///         for.
std::size_t held_out_of(std::size_t samples, double share);

}  // namespace trireme::cli
