// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace trireme::cli {

/// floor(share * samples): how many of them are not trained on.
/// Errors: invalid_argument naming --held-out when none is left to train on, or none is held out although some were asked
///         for.
std::size_t held_out_of(std::size_t samples, double share);

}  // namespace trireme::cli
