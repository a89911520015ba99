// SPDX-License-Identifier: Apache-2.0
#include "cli/train/servers_here.hpp"

#include "trireme/base/error.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/onlooker.hpp"
#include "trireme/platform/secret_variable.hpp"
#include "trireme/rendezvous/store.hpp"

namespace trireme::cli {
namespace {

std::shared_ptr<ServerDirectory> directory_of_one() {
  return ServerDirectory::over(rendezvous::InProcessStore().handle(), net::JobKey::random(), "alone");
}

bool is_alone(const platform::ClusterSpec& cluster) { return cluster.world == 1 && cluster.servers == 0; }

}  // namespace

WorkerPlace place_of(const platform::ClusterSpec& cluster) {
  return {static_cast<std::uint32_t>(cluster.rank), static_cast<std::uint32_t>(cluster.world)};
}

WorkerPlace place_in(const World& world) {
  return {static_cast<std::uint32_t>(world.rank()), static_cast<std::uint32_t>(world.size())};
}

std::shared_ptr<ServerDirectory> directory_beside(const World& world, const platform::ClusterSpec& cluster,
                                                  const platform::Environment& environment) {
  if (world.size() == 1 && is_alone(cluster)) return directory_of_one();
  return ServerDirectory::open({}, environment, ServerDirectory::Opened::beside_world);
}

std::shared_ptr<ServerDirectory> directory_of_independent(const platform::ClusterSpec& cluster,
                                                          const platform::Environment& environment) {
  if (cluster.level == "node" && cluster.world > 1)
    fail(ErrorCode::invalid_argument, "this container has workers to start: start it with `trireme entry train …`");
  auto directory = is_alone(cluster) ? directory_of_one()
                                     : ServerDirectory::open({}, environment, ServerDirectory::Opened::before_world);
  platform::scrub_variable("TRIREME_JOB_KEY");
  return directory;
}

std::optional<std::uint64_t> leave_to_the_first(TrainOptions& options) {
  std::optional<std::uint64_t> step;
  if (options.checkpoints.folder) {
    const auto files = checkpoint::local_files();
    if (const auto newest = checkpoint::Onlooker(*files, *options.checkpoints.folder).newest()) step = newest->step;
  }
  options.checkpoints.folder.reset();
  options.validation = {.every = 0};
  options.model_dir.reset();
  options.log_every = 0;
  return step;
}

}  // namespace trireme::cli
