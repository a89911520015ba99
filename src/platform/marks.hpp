// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/environment.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::platform {

// What several launchers read alike.

/// Errors: invalid_argument "NAME=VALUE must be below BOUND_NAME=BOUND" unless it is.
void require_below(std::string_view name, int value, std::string_view bound_name, int bound);

/// MASTER_ADDR, if it is set. Errors: invalid_argument when it is empty.
std::optional<std::string> find_master_address(const Environment& environment);

/// The port in `variable`, if it is set. Errors: invalid_argument for what is none.
std::optional<std::uint16_t> find_port(const Environment& environment, std::string_view variable = "MASTER_PORT");

}  // namespace trireme::platform
