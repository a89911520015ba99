// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/location.hpp"

#include <span>
#include <vector>

namespace trireme::parallel {

/// The ranks in an order in which those of one host stand together, and of these those of one cache domain; hosts and domains
/// in the order in which they first appear, ranks ascending. Where they stand together already: 0, 1, 2, ….
/// Cache domains do not count on a host where that of some rank is unknown, hosts not where that of some rank is.
std::vector<int> order_by_closeness(std::span<const Location> locations);

}  // namespace trireme::parallel
