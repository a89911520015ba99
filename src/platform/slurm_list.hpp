// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme::platform {

/// Slurm's compressed list of hosts in full: gpu[07-08,11],login1 is gpu07 gpu08 gpu11 login1. Zeros in front are kept;
/// several brackets of one name are combined, the last one running fastest.
/// Errors: invalid_argument "NAME=TEXT: …" for another form and for more than 65536 hosts.
std::vector<std::string> expand_slurm_hosts(std::string_view text, const std::string& name);

/// Slurm's compressed counts: 4,8(x3),2 is 4 8 8 8 2. Errors as above.
std::vector<int> expand_slurm_counts(std::string_view text, const std::string& name);

}  // namespace trireme::platform
