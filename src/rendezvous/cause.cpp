// SPDX-License-Identifier: Apache-2.0
#include "trireme/rendezvous/cause.hpp"

#include "rendezvous/cause_order.hpp"

#include <tuple>

namespace trireme::rendezvous {

bool precedes(const Cause& a, const Cause& b) {
  auto key = [](const Cause& cause) {
    return std::tuple(cause.epoch, cause.communicator, cause.operation, cause.member, kind_order(cause.code));
  };
  return key(a) < key(b);
}

}  // namespace trireme::rendezvous
