// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/tasks/task.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/device/owned.hpp"

#include <optional>
#include <span>
#include <vector>

namespace trireme::cli {

/// The trained values where the host reads them: themselves, or a copy of those that lie on a device.
/// Threads: one at a time.
class HostCopy {
 public:
  /// `parameters` must stay where they are.
  HostCopy(std::span<const Parameter> parameters, const std::optional<TaskDevice>& device);

  /// As they were at the last fetch().
  const std::vector<Parameter>& parameters() const { return host_; }
  /// Brings them here, once what the device was given has run.  Errors: device.
  const std::vector<Parameter>& fetch();
  /// Takes what is here back to the device.  Errors: device.
  void put();

 private:
  std::vector<Parameter> trained_;
  std::vector<Parameter> host_;  ///< without gradients
  std::optional<TaskDevice> device_;
  device::PinnedBuffer memory_;
};

}  // namespace trireme::cli
