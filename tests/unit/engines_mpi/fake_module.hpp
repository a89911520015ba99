// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/module_table.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace trireme::testing {

enum class Behaviour { works, refuses, fails, never_ends };

/// What a test tells the fake MPI, and sees of it. The module hands it out as fake_mpi().
struct FakeMpi {
  Behaviour behaviour = Behaviour::works;
  std::uint32_t version = TRIREME_MPI_TABLE_VERSION;
  bool serialized = true;
  std::atomic<bool> blocks{false};  ///< making a communicator does not return
  int begun = 0;                    ///< collectives
  int native = 0;                   ///< of them, MPI's own all_reduce
  int freed = 0;
  int finalized = 0;
  std::byte* written = nullptr;  ///< where the last one writes to
};

}  // namespace trireme::testing
