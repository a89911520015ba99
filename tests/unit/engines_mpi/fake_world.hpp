// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/engine.hpp"
#include "engines_mpi/fake_access.hpp"
#include "trireme/comm/context.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace trireme::testing {

/// A world of one rank whose collectives go through the MPI engine to the fake.
struct FakeWorld {
  explicit FakeWorld(std::chrono::milliseconds timeout = std::chrono::seconds(10))
      : fake(fresh_fake()), session(engines::mpi::Session::open(FAKE_MODULE)) {
    context = comm::open_context({.hosts = {"host-a"},
                                  .transports = {"self"},
                                  .timeout = timeout,
                                  .make_engine = engines::mpi::factory(session),
                                  .engine_rings = false,
                                  .arena = std::make_shared<transport::Arena>(Bytes{4u << 20}),
                                  .doorbell = std::make_shared<transport::Doorbell>()},
                                 {});
    communicator = comm::make_communicator(context);
  }
  ~FakeWorld() { comm::close_context(context, false); }

  FakeMpi& fake;
  std::shared_ptr<engines::mpi::Session> session;
  std::shared_ptr<comm::Context> context;
  std::optional<Communicator> communicator;
};

}  // namespace trireme::testing
