// SPDX-License-Identifier: Apache-2.0
#include "platform/marks.hpp"

#include "trireme/base/error.hpp"

namespace trireme::platform {

void require_below(std::string_view name, int value, std::string_view bound_name, int bound) {
  if (value < bound) return;
  fail(ErrorCode::invalid_argument, std::string(name) + "=" + std::to_string(value) + " must be below " +
                                        std::string(bound_name) + "=" + std::to_string(bound));
}

std::optional<std::string> find_master_address(const Environment& environment) {
  auto master = environment.find("MASTER_ADDR");
  if (master && master->empty()) fail(ErrorCode::invalid_argument, "MASTER_ADDR is empty: expected the host of rank 0");
  return master;
}

std::optional<std::uint16_t> find_port(const Environment& environment, std::string_view variable) {
  const auto port = environment.integer(variable, 1, 65535);
  if (!port) return std::nullopt;
  return static_cast<std::uint16_t>(*port);
}

}  // namespace trireme::platform
