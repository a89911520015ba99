// SPDX-License-Identifier: Apache-2.0
#include "trireme/transport/doorbell.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstdint>

#include <sys/eventfd.h>
#include <unistd.h>

namespace trireme::transport {

Doorbell::Doorbell() : descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) fail_system("eventfd", errno);
}

Doorbell::~Doorbell() { ::close(descriptor_); }

void Doorbell::ring(int descriptor) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] auto written = ::write(descriptor, &one, sizeof one);  // full means it is ringing already
}

void Doorbell::clear() const noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] auto got = ::read(descriptor_, &count, sizeof count);
}

}  // namespace trireme::transport
