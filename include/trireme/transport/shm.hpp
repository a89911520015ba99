// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/transport.hpp"

#include <memory>

namespace trireme::transport {

/// Processes of one host: byte rings in memfd segments, handed over an authenticated abstract Unix socket that stays
/// open to tell when the peer is gone.
std::unique_ptr<Transport> make_shm_transport(const Membership& self);

}  // namespace trireme::transport
