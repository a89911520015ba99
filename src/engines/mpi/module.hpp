// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/module_table.h"

#include <string>
#include <vector>

namespace trireme::engines::mpi {

/// Where the module is looked for, in order: `named` alone if it is not empty (TRIREME_MPI_MODULE); else beside the program
/// (../lib/trireme) and where Trireme was installed.
std::vector<std::string> module_candidates(const std::string& named);

/// The module's functions; loaded once, never unloaded. MPI itself is not started by it.
/// Errors: unsupported naming the files that were looked at, why each was not loaded, and what to install or set.
const trireme_mpi_table& load_module(const std::string& named);

/// Why the module cannot be loaded, in one line; empty when it can. For `trireme doctor`.
std::string why_no_module(const std::string& named);

}  // namespace trireme::engines::mpi
