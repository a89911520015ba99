// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "net/sockaddr.hpp"
#include "trireme/base/deadline.hpp"

#include <chrono>
#include <functional>
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
/// A question that is lost on its way (to a name service that is only just starting, say) blocks getaddrinfo for many seconds: it is
/// asked anew every two, up to eight times at once, and the first answer counts.
Resolution resolve(const Address& address, Deadline deadline);

/// How resolve() asks for names: `look_up` is called on threads of their own, again every `patience` while none has come back.
Resolution ask_repeatedly(std::function<Resolution()> look_up, std::chrono::milliseconds patience, Deadline deadline);

}  // namespace trireme::net
