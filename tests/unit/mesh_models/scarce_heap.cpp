// SPDX-License-Identifier: Apache-2.0
#include "scarce_heap.hpp"

#include <cstdlib>
#include <new>

namespace trireme::testing {
namespace {
thread_local bool is_scarce = false;
}

ScarceHeap::ScarceHeap() noexcept { is_scarce = true; }
ScarceHeap::~ScarceHeap() { is_scarce = false; }

static void* aligned(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  void* const memory = is_scarce ? nullptr : std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace trireme::testing

void* operator new(std::size_t size, std::align_val_t alignment) { return trireme::testing::aligned(size, alignment); }
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return trireme::testing::aligned(size, alignment);
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
