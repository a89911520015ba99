// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/batch_loader.hpp"

#include <cstddef>

namespace trireme::cli {

/// Mean and standard deviation of the pixels of the first `count` images of a set, scaled to [0, 1]; features then have mean 0 and deviation
/// 1. From integer sums, hence the same bits on every rank and machine. Images that are all of one grey keep deviation 1.
data::Normalisation normalisation_of(const data::LabelledImages& images, std::size_t count);

}  // namespace trireme::cli
