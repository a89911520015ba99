// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/cache_domain.hpp"

#include <vector>

namespace trireme::platform {

/// The processor of each of `ranks` ranks of one host, so that consecutive ranks share a cache: those of one domain before
/// those of the next. A physical core's second processor is used only when every core has a rank. More ranks than
/// processors begin again.
/// Errors: invalid_argument when there is no processor.
std::vector<int> bind_ranks(int ranks, const std::vector<ProcessorPlace>& places);

}  // namespace trireme::platform
