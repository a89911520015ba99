// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/optim/device_step_scale.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace trireme::parallel {

/// global_norm() of gradients on the communicator's device, with the same bits, once what `stream` holds has run. Working memory is
/// made at the first use.
class DeviceNorm {
 public:
  DeviceNorm(const Communicator& communicator, Stream stream)
      : runtime_(communicator.device_runtime()), stream_(stream), result_(runtime_, sizeof(double)) {}

  /// Waits for the stream, which may still work here.
  ~DeviceNorm();
  DeviceNorm(const DeviceNorm&) = delete;
  DeviceNorm& operator=(const DeviceNorm&) = delete;

  Stream stream() const { return stream_; }
  /// Gives the norm of gradients times `scale` to the stream, and what clipping it at `clip_norm` (0: not) makes of the scale; that stays
  /// until the call after the next.  Errors: device.
  DeviceStepScale give(std::span<const TensorView> gradients, double scale, double clip_norm);
  /// Of the latest give(); waits for the stream.
  double norm();
  /// Waits for the stream.
  double operator()(std::span<const TensorView> gradients) {
    give(gradients, 1.0, 0.0);
    return norm();
  }

 private:
  std::byte* slot() const { return workspace_.data() + turn_ * slot_bytes; }
  static constexpr std::size_t slot_bytes = 256;
  std::shared_ptr<device::Runtime> runtime_;
  Stream stream_;
  device::PinnedBuffer result_;
  device::Buffer workspace_;  ///< two results, which take turns, and what making one needs
  std::size_t turn_ = 0;
};

}  // namespace trireme::parallel
