// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/doctor/cuda.hpp"
#include "cli/doctor/transports.hpp"

#include <string>
#include <vector>

namespace trireme::cli {

/// What of our own serves device memory, and the library that multiplies there:
///   staged     collectives through pinned host memory: wherever CUDA is
///   peer       collectives by kernels that read the other devices' memory: available where all devices reach each other. What it
///              lacks otherwise is named; ranks that share a device, or whose devices do reach each other, use it all the same
///   cublas_lt  cublasLt; without it our own kernel multiplies
/// `cublas_library`: a file instead of those that are looked for.
std::vector<Availability> list_device_engines(const Cuda& cuda, const std::string& cublas_library = {});

/// The first pair of devices that do not reach each other's memory, in words; empty: none.
std::string devices_apart(const Cuda& cuda);

}  // namespace trireme::cli
