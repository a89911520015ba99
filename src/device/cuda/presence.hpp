// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/device/runtime.hpp"

#include <optional>
#include <string>

namespace trireme::device {

/// What CUDA says of a machine before any device is touched.
struct Presence {
  enum class Answer {
    devices,      ///< so many
    no_driver,    ///< no driver's library (libcuda.so.1) can be loaded
    stub_driver,  ///< the library that is there is the toolkit's stub, which is for linking
    old_driver,   ///< the driver is older than the run-time
    no_device,    ///< a driver, and no device for this process
    not_ready,    ///< devices that cannot be used yet: NVSwitch without its fabric manager
    failed,       ///< anything else: `failure`
  };
  Answer answer = Answer::devices;
  std::string failure{};  ///< CUDA's name and text of the error
  Versions versions{};
  int devices = 0;
  int prohibited = 0;                    ///< devices whose compute mode lets nobody in
  std::optional<std::string> visible{};  ///< CUDA_VISIBLE_DEVICES
};

/// "13.0" of 13000.
std::string version_text(int version);

/// Why nothing can be computed there, in one line that says what to do; empty when it can.
std::string why_no_cuda(const Presence& presence);

}  // namespace trireme::device
