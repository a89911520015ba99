// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/processor_list.hpp"

#include <filesystem>
#include <optional>

namespace trireme::platform {

/// Processors that reach the same memory by the same last-level cache. Numbers are the kernel's: within one machine two
/// domains are equal exactly when these are.
struct CacheDomain {
  int node = 0;   ///< NUMA node; 0 on a kernel without them
  int cache = 0;  ///< the lowest processor that shares the last-level cache
  friend bool operator==(CacheDomain, CacheDomain) = default;
};

/// Where one processor lies.
struct ProcessorPlace {
  int processor = 0;
  int core = 0;  ///< the lowest processor of its physical core; itself where the kernel does not say
  std::optional<CacheDomain> domain{};
};

/// What the kernel tells below `system` (a copy of /sys/devices/system, in tests) of one processor. A file that is not
/// there or is garbage leaves its part unknown; of several caches the one of the highest level counts.
ProcessorPlace place_of(int processor, const std::filesystem::path& system);

/// The domain that all of `processors` share; nothing when they do not, or it is unknown.
std::optional<CacheDomain> domain_of(const ProcessorList& processors,
                                     const std::filesystem::path& system = "/sys/devices/system");

}  // namespace trireme::platform
