// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::tracking {

/// What Python's str() and repr() make of a float: the shortest digits that are read back as the same number, with an exponent
/// from 1e16 on and below 1e-4; "nan", "inf", "-inf".
std::string python_float(double value);

}  // namespace trireme::tracking
