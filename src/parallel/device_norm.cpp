// SPDX-License-Identifier: Apache-2.0
#include "parallel/device_norm.hpp"

#include "kernels/norm/norm_device.hpp"

#include <cstddef>
#include <cstring>

namespace trireme::parallel {
namespace {

constexpr std::size_t result_bytes = 256;  // of the workspace, in front

}  // namespace

double DeviceNorm::operator()(std::span<const TensorView> gradients) {
  static_assert(sizeof(kernels::StepNorm) <= result_bytes);
  const std::size_t bytes = result_bytes + kernels::norm_workspace_bytes(gradients);
  if (workspace_.size_bytes() < bytes) {
    runtime_->synchronize(stream_);  // it may still work in what there was
    workspace_ = device::Buffer(runtime_, stream_.device.index, bytes);
  }
  auto* const norm = reinterpret_cast<kernels::StepNorm*>(workspace_.data());
  kernels::gradient_norm(gradients, {}, norm, workspace_.data() + result_bytes, {*runtime_, stream_});
  runtime_->copy(result_.data(), &norm->norm, sizeof(double), stream_);
  runtime_->synchronize(stream_);
  double value = 0.0;
  std::memcpy(&value, result_.data(), sizeof value);
  return value;
}

}  // namespace trireme::parallel
