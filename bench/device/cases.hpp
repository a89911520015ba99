// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/device/measure.hpp"

#include <vector>

// The rows of the table, by what they are about. A new group of kernels is a file of cases and a line in device_bench.cpp.
namespace trireme::bench {

/// The bound of all others: a copy on the device.
Case copy_case(const Ground& ground);
std::vector<CaseMaker> reduce_cases();
std::vector<CaseMaker> cast_cases();
std::vector<CaseMaker> pack_cases();
std::vector<CaseMaker> norm_cases();

}  // namespace trireme::bench
