// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/comm/communicator.hpp"
#include "trireme/ps/server.hpp"
#include "trireme/world/server_directory.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::cli {

/// Which servers hold how much where workers hold keys beside dedicated ones.
struct ServerSplit {
  std::vector<std::uint32_t> serving;  ///< workers that do, ascending
  std::vector<double> shares;          ///< of the dedicated servers, then of those
  std::string explanation;
};
/// ps::split_for() of links in bytes/s each way. Workers whose share is 0 serve nothing.
ServerSplit split_over(std::span<const double> workers, std::span<const double> servers, Bytes model);

/// Beside a dedicated server, before any keys are known: one that sums a tensor of one worker, by which workers measure the link to
/// it.
std::unique_ptr<ps::Server> offer_probe(ServerDirectory& directory, std::uint32_t server);
/// Each worker in turn measures its link to each of the dedicated servers by a push and a pull of 1 MB, the best of three. What a link
/// carries is the most that was measured over it. Collective; the same on all ranks.
/// Errors: timeout for a server that is missing; those of ps::Client.
ServerSplit measured_split(Communicator workers, ServerDirectory& directory, std::uint32_t servers, Bytes model);

}  // namespace trireme::cli
