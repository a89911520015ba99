// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/contexts.hpp"

#include "device/cuda/driver.hpp"
#include "device/cuda/failure.hpp"
#include "device/kernel.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace trireme::device {
namespace {

using DeviceOf = int (*)(int* device, int ordinal);
using ContextState = int (*)(int device, unsigned* flags, int* active);

bool context_is_active(int device) {
  static const auto device_of = driver_function<DeviceOf>("cuDeviceGet");
  static const auto context_state = driver_function<ContextState>("cuDevicePrimaryCtxGetState");
  int handle = 0, active = 0;
  unsigned flags = 0;
  return device_of != nullptr && context_state != nullptr && device_of(&handle, device) == 0 &&
         context_state(handle, &flags, &active) == 0 && active != 0;
}

}  // namespace

bool Contexts::in_use(int device) const {
  std::atomic<bool>& used = used_[index(device)];
  if (used.load(std::memory_order_relaxed)) return true;
  if (!context_is_active(device)) return false;
  used.store(true, std::memory_order_relaxed);
  return true;
}

int Contexts::some() const {
  int current = 0;
  if (::cudaGetDevice(&current) == cudaSuccess && in_use(current)) return current;
  for (int device = 0; device < devices_; ++device) {
    if (in_use(device)) return device;
  }
  return -1;
}

void Contexts::begin(int device) {
  const std::lock_guard lock(mutex_);
  if (begun(device)) return;
  // Choosing a device begins its context only since CUDA 12, and not that of the device a thread has by default.
  // Where it is there already this would break a capture that is under way.
  if (!in_use(device)) check(::cudaFree(nullptr), "begin the context (cudaFree)", device);
  used_[index(device)].store(true, std::memory_order_relaxed);
  load_on(device, kernels_);
  begun_[index(device)].store(true, std::memory_order_release);
}

void Contexts::load(std::span<const KernelEntry* const> kernels) {
  for (const KernelEntry* kernel : kernels) {
    if (kernel == nullptr || kernel->cuda == nullptr) {
      fail(ErrorCode::device,
           "load: kernel " + std::string(kernel == nullptr ? "null" : kernel->name) + " was not compiled for CUDA");
    }
  }
  const std::lock_guard lock(mutex_);
  std::vector<const KernelEntry*> fresh(kernels.begin(), kernels.end());
  std::erase_if(fresh, [&](const KernelEntry* kernel) { return std::ranges::count(kernels_, kernel) != 0; });
  for (int device = 0; device < devices_; ++device) {
    if (!begun(device)) continue;
    const OnDevice here(*this, device);
    load_on(device, fresh);
  }
  kernels_.insert(kernels_.end(), fresh.begin(), fresh.end());
}

// CUDA loads a kernel when it is first launched: it takes memory, and may wait for all that runs on the device. A kernel that
// waits for another kernel, or for the host, would then wait for ever. Asking for the kernel's attributes loads it.
// A kernel that keeps more of its threads' values in memory than the stack limit has room for makes its first launch wait
// too, while that memory is replaced; so the limit is raised to the largest here.
void Contexts::load_on(int device, std::span<const KernelEntry* const> kernels) {
  std::size_t local = 0;
  for (const KernelEntry* kernel : kernels) {
    cudaFuncAttributes attributes{};
    const cudaError_t error = ::cudaFuncGetAttributes(&attributes, kernel->cuda);
    if (error != cudaSuccess)
      fail_call(error, "load of kernel " + std::string(kernel->name) + " (cudaFuncGetAttributes)", device);
    if (attributes.maxThreadsPerBlock < static_cast<int>(kernel->threads)) {
      fail(ErrorCode::device, "load: kernel " + std::string(kernel->name) + " has blocks of " +
                                  std::to_string(kernel->threads) + " threads, of which CUDA device " +
                                  std::to_string(device) + " runs " + std::to_string(attributes.maxThreadsPerBlock));
    }
    local = std::max(local, attributes.localSizeBytes);
  }
  if (local == 0) return;
  std::size_t limit = 0;
  check(::cudaDeviceGetLimit(&limit, cudaLimitStackSize), "cudaDeviceGetLimit", device);
  if (local > limit) check(::cudaDeviceSetLimit(cudaLimitStackSize, local), "cudaDeviceSetLimit", device);
}

OnDevice::OnDevice(Contexts& contexts, int device) {
  int current = 0;
  check(::cudaGetDevice(&current), "cudaGetDevice", device);
  if (current != device) {
    if (contexts.in_use(current)) former_ = current;
    const cudaError_t error = ::cudaSetDevice(device);
    if (error != cudaSuccess) fail_call(error, "cudaSetDevice", device);
  }
  if (!contexts.begun(device)) {
    try {
      contexts.begin(device);
    } catch (...) {
      if (former_ >= 0) ignore(::cudaSetDevice(former_));
      throw;
    }
  }
}

OnDevice::~OnDevice() {
  if (former_ >= 0) ignore(::cudaSetDevice(former_));
}

}  // namespace trireme::device
