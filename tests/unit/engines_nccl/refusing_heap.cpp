// SPDX-License-Identifier: Apache-2.0
#include "engines_nccl/refusing_heap.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
thread_local int calls_left = 0;
}  // namespace

namespace trireme::testing {
void refuse_heap_call(int call) noexcept { calls_left = call; }
}  // namespace trireme::testing

void* operator new(std::size_t size) {
  if (calls_left != 0 && --calls_left == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
