// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

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

constexpr std::chrono::seconds patience_with_one{2};
constexpr int most_at_once = 8;

/// Shared with the looking-up threads, which may outlive the call.
struct Lookup {
  std::function<Resolution()> look_up;
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  Resolution result;
};

void begin(const std::shared_ptr<Lookup>& lookup) {
  std::thread([lookup] {
    Resolution result = lookup->look_up();
    std::lock_guard lock(lookup->mutex);
    if (lookup->done) return;
    lookup->result = std::move(result);
    lookup->done = true;
    lookup->changed.notify_one();
  }).detach();
}

}  // namespace

Resolution ask_repeatedly(std::function<Resolution()> look_up, std::chrono::milliseconds patience, Deadline deadline) {
  const auto lookup = std::make_shared<Lookup>();
  lookup->look_up = std::move(look_up);
  for (int asked = 0;;) {
    if (asked < most_at_once) {
      try {
        begin(lookup);
        ++asked;
      } catch (const std::system_error& error) {
        if (asked == 0) return {{}, std::string("cannot start a thread for the look-up: ") + error.what()};
      }
    }
    const auto until = std::min(deadline.moment(), Deadline::after(patience).moment());
    std::unique_lock lock(lookup->mutex);
    if (lookup->changed.wait_until(lock, until, [&] { return lookup->done; })) return std::move(lookup->result);
    if (deadline.passed()) {
      lookup->done = true;  // nobody waits for it
      return {{}, "the name service has not answered"};
    }
  }
}

Resolution resolve(const Address& address, Deadline deadline) {
  Resolution numeric = look_up(address, AI_NUMERICHOST);
  // A colon means a numeric IPv6 address; one that did not parse (an unknown scope, say) is no name either.
  bool is_name = address.host.find(':') == std::string::npos;
  if (numeric.problem.empty() || !is_name) return numeric;
  return ask_repeatedly([address] { return look_up(address, 0); }, patience_with_one, deadline);
}

}  // namespace trireme::net
