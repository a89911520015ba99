// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme {

/// A step's scale where a device left it, so that the host need not wait for it: in device memory lie an f64, which every
/// gradient is multiplied by (clipping, loss scaling), and behind it a u32, which is not 0 when the step is left out.
struct DeviceStepScale {
  const void* data = nullptr;
};

}  // namespace trireme
