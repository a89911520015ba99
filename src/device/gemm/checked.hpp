// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/gemm.hpp"

namespace trireme::device {

/// Errors: invalid_argument unless the call is as MatrixProduct asks.
void check(const GemmCall& call);

}  // namespace trireme::device
