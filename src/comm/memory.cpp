// SPDX-License-Identifier: Apache-2.0
#include "trireme/comm/memory.hpp"

#include "trireme/transport/arena.hpp"

namespace trireme {

ArenaBuffer::~ArenaBuffer() {
  if (arena_) arena_->release(range_);
}

ArenaBuffer Memory::allocate(Bytes size) const { return {arena_, arena_->allocate(size.value)}; }

bool Memory::contains(const void* data, Bytes size) const {
  std::uint64_t offset = 0;
  return arena_->contains(data, size.value, offset);
}

}  // namespace trireme
