// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "multiprocess/launched.hpp"

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trireme::testing {

using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

/// The first of `names` that is a program in PATH.
std::optional<std::string> program_in_path(std::initializer_list<const char*> names);

/// The mpirun of the MPI that the module was built with.
std::optional<std::string> mpirun();

/// False, with the reason as a warning, where nothing can be run under mpirun.
bool can_run();

/// The arguments of Open MPI's mpirun for `program` on `ranks` ranks, which may be more than there are processors.
Words under_mpirun(int ranks, const Words& program, const Words& flags = {});

/// The environment of ranks over `engine`.
Variables with_engine(const std::string& engine, Variables more = {});

/// A run of several ranks on a busy machine: far more than it takes, and less than for ever.
constexpr std::chrono::seconds longest_run{150};

Result run_mpi(int ranks, const Words& program, const Variables& environment, const Words& flags = {});

/// How often `part` stands in `text`.
std::size_t times(const std::string& text, const std::string& part);

}  // namespace trireme::testing
