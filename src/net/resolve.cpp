// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.hpp"

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <netdb.h>

namespace trireme::net {
namespace {

Resolution look_up(const Address& address, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* found = nullptr;
  int error = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) {
    return {{}, error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error)};
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Resolution result;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Endpoint endpoint;
    std::memcpy(&endpoint.storage, entry->ai_addr, entry->ai_addrlen);
    endpoint.length = entry->ai_addrlen;
    result.endpoints.push_back(endpoint);
  }
  if (result.endpoints.empty()) result.problem = "the name has no address";
  return result;
}

/// Shared with the looking-up thread, which may outlive the call.
struct Lookup {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Resolution result;
};

Resolution look_up_on_a_thread(const Address& address, Deadline deadline) {
  auto lookup = std::make_shared<Lookup>();
  try {
    std::thread([lookup, address] {
      Resolution result = look_up(address, 0);
      std::lock_guard lock(lookup->mutex);
      lookup->result = std::move(result);
      lookup->done = true;
      lookup->changed.notify_one();
    }).detach();
  } catch (const std::system_error& error) {
    return {{}, std::string("cannot start a thread for the look-up: ") + error.what()};
  }
  std::unique_lock lock(lookup->mutex);
  while (!lookup->done && !deadline.passed()) {
    lookup->changed.wait_for(lock, std::chrono::milliseconds(deadline.milliseconds_left()));
  }
  if (!lookup->done) return {{}, "the name service has not answered"};
  return std::move(lookup->result);
}

}  // namespace

Resolution resolve(const Address& address, Deadline deadline) {
  Resolution numeric = look_up(address, AI_NUMERICHOST);
  // A colon means a numeric IPv6 address; one that did not parse (an unknown scope, say) is no name either.
  bool is_name = address.host.find(':') == std::string::npos;
  if (numeric.problem.empty() || !is_name) return numeric;
  return look_up_on_a_thread(address, deadline);
}

}  // namespace trireme::net
