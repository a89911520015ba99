// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace trireme::cli {

/// Something that can be used here, or the reason why not.
struct Availability {
  std::string name;
  bool available = false;
  std::string reason;  ///< empty when available
};

/// mem, shm and tcp, each tried with the system calls it stands on; nothing is left behind.
std::vector<Availability> probe_transports();

/// The engines of this build.
/// `mpi_module`: TRIREME_MPI_MODULE, `nccl_library`: TRIREME_NCCL_LIBRARY, empty if not set.
std::vector<Availability> list_engines(const std::string& mpi_module, const std::string& nccl_library);

}  // namespace trireme::cli
