// SPDX-License-Identifier: Apache-2.0
#include "platform/launcher.hpp"

#include <array>

namespace trireme::platform {
namespace {
constexpr std::array<Launcher, 5> table{{
    {"trireme", trireme_run_present, describe_trireme_run},
    {"torchrun", torchrun_present, describe_torchrun},
    {"openmpi", open_mpi_present, describe_open_mpi},
    {"hydra", hydra_present, describe_hydra},
    {"none", no_launcher_present, describe_no_launcher},
}};
}

std::span<const Launcher> launchers() { return table; }

}  // namespace trireme::platform
