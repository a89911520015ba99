// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/allocation.hpp"

#include "device/cuda/driver.hpp"
#include "device/cuda/failure.hpp"
#include "trireme/base/error.hpp"

#include <cstdint>
#include <cstring>
#include <string>

namespace trireme::device {
namespace {

using AddressRange = int (*)(std::uintptr_t* begin, std::size_t* bytes, std::uintptr_t address);

/// Whether `memory` is where an allocation begins; true where the driver cannot tell.
bool begins_allocation(const void* memory) {
  static const auto address_range = driver_function<AddressRange>("cuMemGetAddressRange");
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  std::uintptr_t begin = address;
  std::size_t bytes = 0;
  if (address_range == nullptr || address_range(&begin, &bytes, address) != 0) return true;
  return begin == address;
}

}  // namespace

void* allocate_on(int device, std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = ::cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(::cudaGetLastError());
    std::size_t free = 0, total = 0;
    ignore(::cudaMemGetInfo(&free, &total));
    fail(ErrorCode::device, "allocate (cudaMalloc): out of memory on CUDA device " + std::to_string(device) + ": " +
                                std::to_string(bytes) + " bytes asked for, " + std::to_string(free) + " of " +
                                std::to_string(total) + " are free: " + text_of(error));
  }
  check(error, "allocate (cudaMalloc)", device);
  return memory;
}

// Managed memory moves between the host and the devices; where it was made is what is told.
std::optional<Device> owner_of(const void* memory) {
  cudaPointerAttributes attributes{};
  const cudaError_t error = ::cudaPointerGetAttributes(&attributes, memory);
  if (error == cudaErrorInvalidValue) {
    ignore(error);  // host memory that CUDA knows nothing of, in old versions
    return std::nullopt;
  }
  check(error, "owner (cudaPointerGetAttributes)", 0);
  if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged) return std::nullopt;
  return Device{DeviceKind::cuda, attributes.device};
}

SharedAllocation share_allocation(int device, void* memory, std::size_t bytes) {
  if (memory == nullptr || !begins_allocation(memory))
    fail(ErrorCode::invalid_argument,
         "share: this is not the beginning of an allocation of CUDA device " + std::to_string(device));
  cudaIpcMemHandle_t handle{};
  check(::cudaIpcGetMemHandle(&handle, memory), "share (cudaIpcGetMemHandle)", device);
  SharedAllocation shared;
  static_assert(sizeof handle == sizeof shared.handle);
  std::memcpy(shared.handle.data(), &handle, sizeof handle);
  shared.bytes = bytes;
  return shared;
}

void* import_allocation(int device, const SharedAllocation& allocation) {
  if (allocation.bytes == 0)
    fail(ErrorCode::invalid_argument, "import: these bytes describe no allocation of a CUDA device");
  cudaIpcMemHandle_t handle;
  std::memcpy(&handle, allocation.handle.data(), sizeof handle);
  void* memory = nullptr;
  check(::cudaIpcOpenMemHandle(&memory, handle, cudaIpcMemLazyEnablePeerAccess), "import (cudaIpcOpenMemHandle)",
        device);
  return memory;
}

}  // namespace trireme::device
