// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/device/owned.hpp"

#include <memory>
#include <span>

namespace trireme::parallel {

/// global_norm() of gradients on the communicator's device, with the same bits, once what `stream` holds has run. Its working
/// memory is made at the first use.
class DeviceNorm {
 public:
  DeviceNorm(const Communicator& communicator, Stream stream)
      : runtime_(communicator.device_runtime()), stream_(stream), result_(runtime_, sizeof(double)) {}

  /// Waits for the stream.  Errors: device.
  double operator()(std::span<const TensorView> gradients);

 private:
  std::shared_ptr<device::Runtime> runtime_;
  Stream stream_;
  device::PinnedBuffer result_;
  device::Buffer workspace_;
};

}  // namespace trireme::parallel
