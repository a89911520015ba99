// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "net/sockaddr.hpp"
#include "trireme/base/deadline.hpp"

#include <string>
#include <vector>

namespace trireme::net {

/// What a name stands for: its endpoints, in the resolver's order of preference, or why there are none.
struct Resolution {
  std::vector<Endpoint> endpoints;
  std::string problem;
};

/// Both families. Numeric addresses (with or without scope id) never reach the resolver.
/// Threads: a name is looked up on a thread of its own, because getaddrinfo(3) cannot be bounded; at the deadline that
///          thread is left to end by itself and shares nothing with the caller any more.
Resolution resolve(const Address& address, Deadline deadline);

}  // namespace trireme::net
