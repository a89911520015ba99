// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::cli {

struct NcclLibrary {
  int version = 0;     ///< as ncclGetVersion tells it; 0: none
  std::string reason;  ///< why there is none
};

/// Loads NVIDIA's collective library to ask for its version, which touches no device.
NcclLibrary find_nccl(const std::string& library = "libnccl.so.2");

/// "2.28.9" of 22809.
std::string nccl_version(int version);

}  // namespace trireme::cli
