// SPDX-License-Identifier: Apache-2.0
#include <trireme/device/cuda.hpp>
#include <trireme/device/owned.hpp>

#include <cstdio>

int main() {
  const std::string reason = trireme::device::why_no_cuda();
  if (reason.empty()) {
    const auto runtime = trireme::device::cuda_runtime();
    const trireme::device::Buffer buffer(runtime, 0, 1 << 20);
    std::printf("CUDA: %d devices\n", runtime->devices());
  } else {
    std::printf("no CUDA: %s\n", reason.c_str());
  }
}
