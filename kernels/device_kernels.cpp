// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_kernels.hpp"

#include "kernels/fold/fold_device.hpp"

namespace trireme::kernels {

std::vector<const device::KernelEntry*> device_kernels() {
  std::vector<const device::KernelEntry*> kernels;
  fold_kernels(kernels);
  return kernels;
}

}  // namespace trireme::kernels
