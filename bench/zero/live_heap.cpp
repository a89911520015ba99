// SPDX-License-Identifier: Apache-2.0
#include "bench/zero/live_heap.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {
thread_local std::int64_t live = 0;
}  // namespace

namespace trireme::bench {
std::int64_t live_heap_bytes() noexcept { return live; }
bool counts_heap() noexcept {
#ifdef TRIREME_SANITIZED
  return false;
#else
  return true;
#endif
}
}  // namespace trireme::bench

#ifndef TRIREME_SANITIZED

namespace {

constexpr std::size_t usual = alignof(std::max_align_t);

/// The size stands before what the caller gets.
std::size_t room_before(std::size_t alignment) { return std::max(alignment, usual); }

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  const std::size_t before = room_before(alignment);
  void* memory = nullptr;
  if (posix_memalign(&memory, before, before + size) != 0) return nullptr;
  std::byte* const given = static_cast<std::byte*>(memory) + before;
  std::memcpy(given - sizeof(size), &size, sizeof(size));
  live += static_cast<std::int64_t>(size);
  return given;
}

void* counted(std::size_t size, std::size_t alignment) {
  void* memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void give_back(void* memory, std::size_t alignment) noexcept {
  if (memory == nullptr) return;
  std::byte* const given = static_cast<std::byte*>(memory);
  std::size_t size = 0;
  std::memcpy(&size, given - sizeof(size), sizeof(size));
  live -= static_cast<std::int64_t>(size);
  std::free(given - room_before(alignment));
}

constexpr std::size_t number(std::align_val_t alignment) { return static_cast<std::size_t>(alignment); }

}  // namespace

void* operator new(std::size_t size) { return counted(size, usual); }
void* operator new[](std::size_t size) { return counted(size, usual); }
void* operator new(std::size_t size, std::align_val_t alignment) { return counted(size, number(alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return counted(size, number(alignment)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, usual); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size, usual); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, number(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(size, number(alignment));
}
void operator delete(void* memory) noexcept { give_back(memory, usual); }
void operator delete[](void* memory) noexcept { give_back(memory, usual); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory, usual); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory, usual); }
void operator delete(void* memory, std::align_val_t alignment) noexcept { give_back(memory, number(alignment)); }
void operator delete[](void* memory, std::align_val_t alignment) noexcept { give_back(memory, number(alignment)); }
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  give_back(memory, number(alignment));
}
void operator delete[](void* memory, std::size_t, std::align_val_t alignment) noexcept {
  give_back(memory, number(alignment));
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { give_back(memory, usual); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { give_back(memory, usual); }
void operator delete(void* memory, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  give_back(memory, number(alignment));
}
void operator delete[](void* memory, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  give_back(memory, number(alignment));
}

#endif
