// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/host.hpp"

#include "net/quoted.hpp"
#include "net/sockaddr.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::net {
namespace {

bool is_link_local(const sockaddr* address) {
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof v6);
  return IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
}

/// Nothing (family 0) for an entry that is down, has no internet address, or only an IPv6 link-local one.
Endpoint usable_endpoint(const ifaddrs& entry) {
  Endpoint endpoint;
  if (entry.ifa_addr == nullptr || (entry.ifa_flags & IFF_UP) == 0) return endpoint;
  if (entry.ifa_addr->sa_family == AF_INET) {
    endpoint.length = sizeof(sockaddr_in);
  } else if (entry.ifa_addr->sa_family == AF_INET6 && !is_link_local(entry.ifa_addr)) {
    endpoint.length = sizeof(sockaddr_in6);
  } else {
    return endpoint;
  }
  std::memcpy(&endpoint.storage, entry.ifa_addr, endpoint.length);
  return endpoint;
}

}  // namespace

std::string host_identity() {
  constexpr const char* boot_file = "/proc/sys/kernel/random/boot_id";
  constexpr const char* namespace_file = "/proc/self/ns/net";
  std::string boot;
  std::ifstream(boot_file) >> boot;
  if (boot.empty()) fail(ErrorCode::system, std::string(boot_file) + " cannot be read: the host has no identity");
  struct stat status {};
  if (::stat(namespace_file, &status) != 0) fail_system(namespace_file, errno);
  return boot + "/" + std::to_string(status.st_ino);
}

bool are_on_one_machine(std::string_view a, std::string_view b) {
  return a.substr(0, a.rfind('/')) == b.substr(0, b.rfind('/'));
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) fail_system("gethostname", errno);
  return name.data();
}

std::vector<InterfaceAddress> interface_addresses(const std::string& only) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) fail_system("getifaddrs", errno);
  std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
  std::vector<InterfaceAddress> addresses;
  std::vector<std::string> names;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    Endpoint endpoint = usable_endpoint(*entry);
    if (endpoint.length == 0) continue;
    std::string name = entry->ifa_name;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    std::string address = to_address(endpoint).host;
    if (!only.empty() && only != name && only != address) continue;
    bool loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    addresses.push_back({name, std::move(address), loopback, endpoint.family() == AF_INET6});
  }
  if (!only.empty() && addresses.empty()) {
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    fail(ErrorCode::invalid_argument,
         "there is no interface " + quoted(only) + " with a usable address, and no such address; there are: " + known);
  }
  return addresses;
}

}  // namespace trireme::net
