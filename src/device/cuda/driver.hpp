// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/cuda/failure.hpp"

namespace trireme::device {

/// A function of the driver's library, found through the runtime: a program that linked that library would not start where
/// there is none. Null if the driver has no such function.
template <class Function>
Function driver_function(const char* name) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error = ::cudaGetDriverEntryPointByVersion(name, &address, 12000, cudaEnableDefault, &found);
  ignore(error);
  return error == cudaSuccess && found == cudaDriverEntryPointSuccess ? reinterpret_cast<Function>(address) : nullptr;
}

}  // namespace trireme::device
