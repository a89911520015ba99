// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/session.hpp"
#include "trireme/comm/context.hpp"
#include "trireme/rendezvous/server.hpp"
#include "trireme/rendezvous/store.hpp"
#include "trireme/transport/mem.hpp"
#include "trireme/world/world.hpp"
#include "world/control_relay.hpp"
#include "world/settings.hpp"

#include <exception>
#include <functional>
#include <memory>

namespace trireme {

struct World::Contents {
  std::unique_ptr<rendezvous::Server> server;  // of rank 0, where no launcher serves the store; ends last
  std::shared_ptr<engines::mpi::Session> mpi;  // where MPI moves the data, or brought the ranks together
  std::shared_ptr<comm::Context> context;
  std::optional<Communicator> communicator;
  std::vector<std::string> hosts;
  std::vector<std::string> transports;
  std::string engine = "host";
  comm::DeviceOptions devices{};  // as they were settled with the other ranks
  int local_rank = 0;
  int local_size = 1;
  int exceptions_at_open = std::uncaught_exceptions();
  std::chrono::nanoseconds patience_at_end = std::chrono::seconds(1);  // for the other ranks to leave as well
};

/// Puts a World together: the one place that knows every transport, store and engine.
class WorldBuilder {
 public:
  /// How a rank meets the others.
  struct Meeting {
    std::unique_ptr<rendezvous::Store> store;
    std::function<std::unique_ptr<rendezvous::ControlChannel>(rendezvous::ControlListener&)> open_control;
    std::unique_ptr<rendezvous::Server> server;
    const transport::MemNetwork* network = nullptr;  // transport mem
  };
  using MpiSession = std::shared_ptr<engines::mpi::Session>;  // null: no MPI in this world
  static World build(Settings settings, Meeting meeting, MpiSession mpi = {});
  static World build_alone(const Settings& settings, MpiSession mpi = {});

 private:
  /// All of build() in which a failure must reach the others.
  static void join(World::Contents& contents, const Settings& settings, const Meeting& meeting, ControlRelay& control,
                   Deadline deadline);
};

}  // namespace trireme
