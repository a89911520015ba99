// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/random.hpp"

#include <cstdint>

namespace trireme::cli {

/// The initial weights' (and dropout masks') stream of --seed; the order of the samples has the seed itself.
inline std::uint64_t model_seed(std::uint64_t seed) { return data::stream_key(seed, 0x6d6f64656cu); }

}  // namespace trireme::cli
