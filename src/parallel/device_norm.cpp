// SPDX-License-Identifier: Apache-2.0
#include "parallel/device_norm.hpp"

#include "kernels/norm/norm_device.hpp"

#include <cstring>

namespace trireme::parallel {

DeviceNorm::~DeviceNorm() {
  try {
    runtime_->synchronize(stream_);
  } catch (...) {  // the device has failed: nothing runs there any more
  }
}

DeviceStepScale DeviceNorm::give(std::span<const TensorView> gradients, double scale, double clip_norm) {
  static_assert(sizeof(kernels::StepNorm) <= slot_bytes && offsetof(kernels::StepNorm, step) == 0);
  const std::size_t bytes = 2 * slot_bytes + kernels::norm_workspace_bytes(gradients);
  if (workspace_.size_bytes() < bytes) {
    runtime_->synchronize(stream_);  // it may still work in what there was
    workspace_ = device::Buffer(runtime_, stream_.device.index, bytes);
  }
  turn_ = 1 - turn_;
  kernels::gradient_norm(gradients, {.gradient_scale = scale, .clip_norm = clip_norm},
                         reinterpret_cast<kernels::StepNorm*>(slot()), workspace_.data() + 2 * slot_bytes,
                         {*runtime_, stream_});
  return {slot()};
}

double DeviceNorm::norm() {
  runtime_->copy(result_.data(), &reinterpret_cast<const kernels::StepNorm*>(slot())->norm, sizeof(double), stream_);
  runtime_->synchronize(stream_);
  double value = 0.0;
  std::memcpy(&value, result_.data(), sizeof value);
  return value;
}

}  // namespace trireme::parallel
