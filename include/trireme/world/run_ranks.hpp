// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/context.hpp"
#include "trireme/world/world.hpp"

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace trireme::testing {

struct RunRanksOptions {
  std::string transport = "mem";  ///< mem, shm or tcp: all three work between threads
  /// Caches to pretend, for tests and experiments: a machine with one cache runs the ways of several.
  std::optional<comm::CacheGroups> cache_groups{};
  Options world{};  ///< rank, world_size, master, transport, engine and device are ignored; the environment too
  /// Devices to run on, emulated or not: rank r has device r modulo how many there are. `device` and `everywhere` are
  /// ignored; without `make_engine` the engine is that of World::open.
  comm::DeviceOptions devices{};
  /// Only the first so many ranks have one; unset: all.
  std::optional<int> ranks_with_devices{};
};

/// Runs `body` on `ranks` threads of this process, each with a World of its own that is opened and closed around it.
/// No state is shared between the Worlds: what passes here passes between processes.
/// Errors: rethrows what the lowest failing rank threw, after all have ended.
void run_ranks(int ranks, const std::function<void(World&)>& body, const RunRanksOptions& options = {});

/// The same, but returns what each rank threw (null: nothing), for tests of failures.
std::vector<std::exception_ptr> run_ranks_collecting(int ranks, const std::function<void(World&)>& body,
                                                     const RunRanksOptions& options = {});

}  // namespace trireme::testing
