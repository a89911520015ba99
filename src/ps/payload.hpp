// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace trireme::ps {

/// Elements that nobody gave a value are left as they are: zeros that the next read overwrites cost as much as the read.
template <class T>
struct UnfilledAllocator : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = UnfilledAllocator<U>;
  };
  UnfilledAllocator() = default;
  template <class U>
  UnfilledAllocator(const UnfilledAllocator<U>&) noexcept {}
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0)
      ::new (static_cast<void*>(place)) U;
    else
      ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
  }
};

/// The elements of a message. Payload(n) has n bytes of any value; Payload(n, std::byte{}) has zeros.
using Payload = std::vector<std::byte, UnfilledAllocator<std::byte>>;

}  // namespace trireme::ps
