// SPDX-License-Identifier: Apache-2.0
#include "cli/train/fallback.hpp"

#include "cli/train/server_session.hpp"

#include <utility>

namespace trireme::cli {

ps::FallbackOptions fallback_options(World& world, const TrainOptions& options, FallbackPlace place,
                                     const Optimizer& optimizer) {
  const auto serve = [&world, &options, place = std::move(place), &optimizer](const ps::LinkSpeeds& links) {
    const auto well = links.well_connected();
    const WorkerPlace worker{static_cast<std::uint32_t>(world.rank()), static_cast<std::uint32_t>(world.size())};
    const auto session = std::make_shared<ServerSession>(options, place.directory, worker, place.leaves,
                                                         std::vector<std::uint32_t>(well.begin(), well.end()));
    session->serve(place.parameters, place.row_sparse, optimizer);
    // All are known behind this, and former lives of theirs forgotten.
    Communicator(world.communicator()).barrier({.label = "servers of the fallback"});
    return ps::FallbackServers{.synchronizer = session->connect(place.parameters, place.row_sparse, optimizer),
                               .leave = [session] { session->leave_now(); }};
  };
  // With all_reduce windows are as short as can be: ill steps are long enough.
  return {.servers = serve,
          .predict = [](const ps::LinkSpeeds& links,
                        Bytes gradients) { return ps::seconds_with_servers(links, gradients); },
          .healthy_by_links = true,
          .window = 2,
          .window_on_servers = 16};
}

std::string fallback_line(ps::GradientWay to, std::uint64_t step, const std::string& reason) {
  return "trireme train: behind step " + std::to_string(step) + " gradients go by " +
         (to == ps::GradientWay::servers ? "servers (--fallback ps): " : "all_reduce again: ") + reason;
}

}  // namespace trireme::cli
