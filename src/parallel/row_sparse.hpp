// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace trireme::parallel {

/// Per parameter, whether DataParallelOptions::row_sparse has it.
/// Errors: invalid_argument naming the pattern that fits no parameter.
std::vector<bool> row_sparse_parameters(std::span<const Parameter> parameters, std::span<const std::string> patterns);

/// Rows are the first dimension. Shape: at least one dimension.
inline std::size_t rows_of(const Parameter& parameter) { return static_cast<std::size_t>(parameter.shape.front()); }

}  // namespace trireme::parallel
