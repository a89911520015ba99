// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/run_ranks.hpp"

#include "trireme/base/error.hpp"
#include "trireme/transport/arena.hpp"
#include "world/world_builder.hpp"

#include <algorithm>
#include <thread>

namespace trireme::testing {
namespace {

constexpr Bytes default_reserve{std::uint64_t{1} << 30};

Settings settings_of(const RunRanksOptions& options, int rank, int ranks, const net::JobKey& key) {
  Options world = options.world;
  world.rank.reset();
  world.world_size.reset();
  world.master.reset();
  world.transport.reset();
  world.engine.reset();  // MPI knows processes, not threads
  world.device.reset();
  if (world.arena_reserve.value == 0) {
    const Bytes usual = transport::Arena::usual_reserve(static_cast<std::size_t>(std::max(ranks, 1)));
    world.arena_reserve = Bytes{std::min(default_reserve.value, usual.value)};
  }
  if (!world.log) world.log = Log();
  Settings settings = settle(world, platform::Environment());
  if (options.cache_groups) {
    const bool automatic = settings.cache_groups.automatic && options.cache_groups->automatic;
    settings.cache_groups = *options.cache_groups;
    settings.cache_groups.automatic = automatic;
  }
  if (rank < options.ranks_with_devices.value_or(ranks)) settings.devices = options.devices;
  if (settings.devices.runtime)
    settings.devices.device = {DeviceKind::cuda, rank % settings.devices.runtime->devices()};
  settings.cluster.rank = rank;
  settings.cluster.world = ranks;
  settings.cluster.job_id = "run_ranks";
  settings.key = key;
  settings.transport = options.transport;
  return settings;
}

}  // namespace

std::vector<std::exception_ptr> run_ranks_collecting(int ranks, const std::function<void(World&)>& body,
                                                     const RunRanksOptions& options) {
  if (ranks < 1) fail(ErrorCode::invalid_argument, "run_ranks: the number of ranks is " + std::to_string(ranks));
  if (options.transport != "mem" && options.transport != "shm" && options.transport != "tcp") {
    fail(ErrorCode::invalid_argument, "run_ranks: transport '" + options.transport + "' is none of mem, shm, tcp");
  }
  const net::JobKey key = net::JobKey::random();
  const rendezvous::InProcessStore store;
  const rendezvous::InProcessControl control(ranks);
  const transport::MemNetwork network(ranks);

  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(ranks));
  const auto run = [&](int rank) {
    try {
      Settings settings = settings_of(options, rank, ranks, key);
      World world = [&] {
        if (ranks == 1) return WorldBuilder::build_alone(settings);
        WorldBuilder::Meeting meeting;
        meeting.store = store.handle();
        meeting.open_control = [&control, rank](rendezvous::ControlListener& listener) {
          return control.open(rank, listener);
        };
        if (options.transport == "mem") meeting.network = &network;
        return WorldBuilder::build(std::move(settings), std::move(meeting));
      }();
      body(world);
      world.close();
    } catch (...) {
      thrown[static_cast<std::size_t>(rank)] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
  for (auto& thread : threads) thread.join();
  return thrown;
}

void run_ranks(int ranks, const std::function<void(World&)>& body, const RunRanksOptions& options) {
  for (const auto& each : run_ranks_collecting(ranks, body, options)) {
    if (each) std::rethrow_exception(each);
  }
}

}  // namespace trireme::testing
