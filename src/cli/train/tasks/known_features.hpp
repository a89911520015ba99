// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/rows.hpp"

#include <cstddef>

namespace trireme::cli {

/// A model knows nothing of features that its training set has not: of a test set they are left out, as if they were 0.
void drop_features_from(data::SparseTable& table, std::size_t features);
/// Dense rows are complete: nothing to do.
inline void drop_features_from(data::DenseTable&, std::size_t) {}

}  // namespace trireme::cli
