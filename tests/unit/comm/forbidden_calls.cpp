// SPDX-License-Identifier: Apache-2.0
#include "unit/comm/forbidden_calls.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>

// The C library's own functions behind the names replaced below.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace {

std::atomic<bool> armed{false};
std::atomic<std::uint64_t> heap_calls{0};
std::atomic<std::uint64_t> mutex_calls{0};
std::atomic<bool> traced{false};
std::array<void*, 24> trace{};
std::atomic<int> trace_depth{0};
thread_local bool inside = false;  // backtrace(3) itself may allocate

void note(std::atomic<std::uint64_t>& calls) noexcept {
  if (!armed.load(std::memory_order_relaxed) || inside) return;
  calls.fetch_add(1, std::memory_order_relaxed);
  if (traced.exchange(true)) return;
  inside = true;
  trace_depth = ::backtrace(trace.data(), static_cast<int>(trace.size()));
  inside = false;
}

using MutexLock = int (*)(pthread_mutex_t*);
std::atomic<MutexLock> real_mutex_lock{nullptr};

}  // namespace

namespace trireme::testing {

void arm_forbidden_calls() noexcept {
  heap_calls = 0;
  mutex_calls = 0;
  traced = false;
  trace_depth = 0;
  armed = true;
}

ForbiddenCalls disarm_forbidden_calls() noexcept {
  armed = false;
  return {heap_calls.load(), mutex_calls.load()};
}

std::string first_forbidden_call() {
  std::string text;
  char** lines = ::backtrace_symbols(trace.data(), trace_depth);
  for (int i = 0; lines != nullptr && i < trace_depth; ++i) text += std::string(lines[i]) + "\n";
  std::free(lines);
  return text;
}

}  // namespace trireme::testing

// operator new comes through malloc.
#define TRIREME_TEST_EXPORTED __attribute__((visibility("default")))
extern "C" {
TRIREME_TEST_EXPORTED void* malloc(std::size_t size) {
  note(heap_calls);
  return __libc_malloc(size);
}
TRIREME_TEST_EXPORTED void* calloc(std::size_t count, std::size_t size) {
  note(heap_calls);
  return __libc_calloc(count, size);
}
TRIREME_TEST_EXPORTED void* realloc(void* memory, std::size_t size) {
  note(heap_calls);
  return __libc_realloc(memory, size);
}
TRIREME_TEST_EXPORTED void free(void* memory) {
  if (memory != nullptr) note(heap_calls);
  __libc_free(memory);
}
TRIREME_TEST_EXPORTED void* aligned_alloc(std::size_t alignment, std::size_t size) {
  note(heap_calls);
  return __libc_memalign(alignment, size);
}
TRIREME_TEST_EXPORTED void* memalign(std::size_t alignment, std::size_t size) {
  note(heap_calls);
  return __libc_memalign(alignment, size);
}
TRIREME_TEST_EXPORTED int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  note(heap_calls);
  void* result = __libc_memalign(alignment, size);
  if (result == nullptr) return ENOMEM;
  *memory = result;
  return 0;
}
TRIREME_TEST_EXPORTED int pthread_mutex_lock(pthread_mutex_t* mutex) {
  note(mutex_calls);
  MutexLock real = real_mutex_lock.load(std::memory_order_acquire);
  if (real == nullptr) {
    real = reinterpret_cast<MutexLock>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
    real_mutex_lock.store(real, std::memory_order_release);
  }
  return real(mutex);
}
}
