// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <cstdint>
#include <functional>
#include <optional>

namespace trireme::cli {

/// TRIREME_PORT_RANGE, "40000-40100": the ports a job may listen on, both ends among them.
struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};
/// Errors: invalid_argument naming the variable.
std::optional<PortRange> port_range(const platform::Environment& environment);

/// Calls `listen` with port 0, or, with a range, with one port after the other until one is free.
/// Errors: of the last port tried.
void listen_in(const std::optional<PortRange>& range, const std::function<void(std::uint16_t)>& listen);

/// A port that nobody holds now, on all addresses. It may be taken before rank 0 listens there; torchrun lives with the same
/// chance.
std::uint16_t free_port(const std::optional<PortRange>& range);

}  // namespace trireme::cli
