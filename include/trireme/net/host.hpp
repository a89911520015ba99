// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme::net {

/// Equal for two processes exactly when they can share memory and abstract sockets: kernel boot id and network
/// namespace. Never derived from the host name.
std::string host_identity();

/// Whether two identities are of one kernel: such hosts share its processors, whatever their networks (containers).
bool are_on_one_machine(std::string_view a, std::string_view b);

/// The host's name, for messages only.
std::string host_name();

/// A numeric address of one interface that is up.
struct InterfaceAddress {
  std::string interface;
  std::string address;
  bool loopback = false;
  bool ipv6 = false;
};

/// All usable addresses of both families (IPv6 link-local left out). `only`: if not empty, just that interface's, or just
/// that address. Errors: invalid_argument naming the interfaces that have usable addresses, when `only` is none of them.
std::vector<InterfaceAddress> interface_addresses(const std::string& only = {});

}  // namespace trireme::net
