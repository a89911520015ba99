// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::cli {

/// Seconds since this process was started, an exec of itself included; to a hundredth. NaN where /proc does not tell.
double process_age();

}  // namespace trireme::cli
