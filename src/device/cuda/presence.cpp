// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/presence.hpp"

namespace trireme::device {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string why_no_cuda(const Presence& presence) {
  using Answer = Presence::Answer;
  const std::string built = "CUDA " + version_text(presence.versions.runtime);
  switch (presence.answer) {
    case Answer::devices:
      if (presence.devices == 0) break;
      if (presence.prohibited < presence.devices) return {};
      return "none of the " + std::to_string(presence.devices) +
             " GPUs lets a program in: their compute mode is 'prohibited'; nvidia-smi --compute-mode=DEFAULT ends that";
    case Answer::no_driver:
      return "no NVIDIA driver: libcuda.so.1 cannot be loaded; install the driver on the host, and start containers with "
             "its GPUs (--gpus all)";
    case Answer::stub_driver:
      return "no NVIDIA driver: the libcuda.so.1 that was found is the CUDA toolkit's stub, which is only for linking; "
             "take its folder out of LD_LIBRARY_PATH";
    case Answer::old_driver:
      return "the NVIDIA driver is too old: it serves CUDA up to " + version_text(presence.versions.driver) +
             " and this program was built with " + built + "; update the driver, or build with an older toolkit";
    case Answer::no_device: break;
    case Answer::not_ready:
      return "the GPUs are not ready (" + presence.failure +
             "): with NVSwitch the service nvidia-fabricmanager must run, in the driver's version";
    case Answer::failed:
      return "CUDA does not start: " + presence.failure +
             "; look at nvidia-smi and at the kernel's log. A process that was forked by one that used CUDA cannot use "
             "it";
  }
  if (presence.visible) {
    return "no GPU is visible: CUDA_VISIBLE_DEVICES is '" + *presence.visible +
           "', which names none that this host or container has";
  }
  return "the NVIDIA driver (CUDA " + version_text(presence.versions.driver) +
         ") finds no GPU; a container must be started with some (--gpus all, or NVIDIA_VISIBLE_DEVICES)";
}

}  // namespace trireme::device
