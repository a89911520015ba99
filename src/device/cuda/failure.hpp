// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace trireme::device {

/// "cudaErrorMemoryAllocation (out of memory)".
std::string text_of(cudaError_t error);

/// Throws Exception{device}: the call, what CUDA said, the device, and what to do where that is known. CUDA keeps the last
/// error of a thread until somebody asks for it: it is taken back here, so that nobody else finds it as theirs. What has
/// broken the device's context stays with CUDA, which answers every later call with it.
[[noreturn]] void fail_call(cudaError_t error, const std::string& call, int device);

inline void check(cudaError_t error, const char* call, int device) {
  if (error != cudaSuccess) [[unlikely]]
    fail_call(error, call, device);
}

/// Where nothing may be thrown: takes the error back. What has broken the context will be told by the next call.
inline void ignore(cudaError_t error) noexcept {
  if (error != cudaSuccess) static_cast<void>(::cudaGetLastError());
}

}  // namespace trireme::device
