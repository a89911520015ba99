// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/inputs/scratch.hpp"
#include "trireme/comm/communicator.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace trireme::cli {

/// What is done by one rank of each host, while the others wait.
struct HostRanks {
  Communicator& all;
  Communicator* firsts;  ///< the first rank of each host; null on the others
  bool is_job_first;     ///< speaks for the job
};

/// Makes `own`, another part of a channel on every host, the whole channel on each: what a host lacks is copied into its scratch.
/// Files stand by name, of one name in the order of their hosts, so that the job sees what it would if every host had been given all
/// of them. `own` counts on the first ranks alone, and only they get the files. Collective over all ranks.
/// Cost:   every host receives what it lacks, all sending at once, and holds it in scratch; 64 MiB of memory.
/// Errors: invalid_argument naming the host that has no room, before anything is copied, alike on all ranks; others of the files,
///         on all ranks too.
std::vector<std::filesystem::path> exchange_shards(HostRanks ranks, const std::string& channel,
                                                   const std::vector<std::filesystem::path>& own, Scratch* scratch,
                                                   const std::function<void(const std::string&)>& say);

/// Ends with the first failure of any rank, on all of them; an empty text is none. Collective.
/// Errors: invalid_argument.
void fail_together(Communicator& all, const std::string& problem);

}  // namespace trireme::cli
