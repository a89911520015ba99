// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/mpi/session.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/rendezvous/server.hpp"
#include "world/settings.hpp"

#include <memory>

namespace trireme {

/// Starts MPI as `settings` need it.
/// Errors: unsupported without the module, saying what needs it; invalid_argument when MPI counts other ranks than the
///         launcher's description.
std::shared_ptr<engines::mpi::Session> start_mpi(const Settings& settings);

/// Lets ranks meet that know no meeting point: rank 0 opens the server, and its addresses, the job's key and id reach the
/// others by one broadcast of MPI. Fills in what of `settings` a launcher would have said; returns rank 0's server.
/// Errors: timeout naming the addresses of rank 0, when none of them answers.
std::unique_ptr<rendezvous::Server> meet_through_mpi(Settings& settings, engines::mpi::Session& mpi, Deadline deadline);

}  // namespace trireme
