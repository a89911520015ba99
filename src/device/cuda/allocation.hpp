// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <cstddef>

// Device memory, its owner, and its way to other processes. The caller has made a device current.
namespace trireme::device {

void* allocate_on(int device, std::size_t bytes);
std::optional<Device> owner_of(const void* memory);
SharedAllocation share_allocation(int device, void* memory, std::size_t bytes);
void* import_allocation(int device, const SharedAllocation& allocation);

}  // namespace trireme::device
