// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_kernels.hpp"

#include "kernels/cast/cast_device.hpp"
#include "kernels/fold/fold_device.hpp"
#include "kernels/norm/norm_device.hpp"
#include "kernels/pack/pack_device.hpp"
#include "kernels/reduce/reduce_device.hpp"

namespace trireme::kernels {

std::vector<const device::KernelEntry*> device_kernels() {
  std::vector<const device::KernelEntry*> kernels;
  cast_kernels(kernels);
  fold_kernels(kernels);
  norm_kernels(kernels);
  pack_kernels(kernels);
  reduce_kernels(kernels);
  return kernels;
}

}  // namespace trireme::kernels
