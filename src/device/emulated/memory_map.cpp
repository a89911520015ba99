// SPDX-License-Identifier: Apache-2.0
#include "device/emulated/memory_map.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace trireme::device {
namespace {

constexpr std::size_t page = 4096;

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

/// What an imported allocation is found by.
struct Origin {
  pid_t process;
  int descriptor;
};

void guard(void* memory, std::size_t bytes, std::size_t mapped) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(static_cast<std::byte*>(memory) + bytes, mapped - bytes);
#else
  static_cast<void>(memory), static_cast<void>(bytes), static_cast<void>(mapped);
#endif
}

void unguard(void* memory, std::size_t mapped) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory, mapped);
#else
  static_cast<void>(memory), static_cast<void>(mapped);
#endif
}

}  // namespace

MemoryMap::~MemoryMap() {
  for (const auto& [begin, allocation] : allocations_) release(begin, allocation);
}

void* MemoryMap::map(int descriptor, std::size_t bytes, std::size_t mapped) {
  void* memory = ::mmap(nullptr, mapped + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail_system("mmap of emulated device memory", errno);
  if (::mmap(memory, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0) == MAP_FAILED) {
    const int error = errno;
    ::munmap(memory, mapped + page);
    fail_system("mmap of emulated device memory", error);
  }
  guard(memory, bytes, mapped);
  return memory;
}

void* MemoryMap::allocate(int device, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const std::size_t mapped = whole_pages(bytes);
  const std::lock_guard lock(mutex_);
  auto& used = used_[static_cast<std::size_t>(device)];
  if (mapped > limit_ - used) {
    fail(ErrorCode::device, "allocate: out of memory on emulated device " + std::to_string(device) + ": " +
                                std::to_string(bytes) + " bytes asked for, " + std::to_string(limit_ - used) + " of " +
                                std::to_string(limit_) + " are free");
  }
  const int descriptor = ::memfd_create("trireme-emulated-device", MFD_CLOEXEC);
  if (descriptor < 0) fail_system("memfd_create", errno);
  if (::ftruncate(descriptor, static_cast<off_t>(mapped)) != 0) {
    const int error = errno;
    ::close(descriptor);
    fail_system("ftruncate of emulated device memory", error);
  }
  void* memory = nullptr;
  try {
    memory = map(descriptor, bytes, mapped);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  std::memset(memory, 0xff, bytes);  // NaN in every floating type: what nobody has written shows
  used += mapped;
  allocations_[reinterpret_cast<std::uintptr_t>(memory)] = {device, bytes, mapped, descriptor};
  return memory;
}

void MemoryMap::release(std::uintptr_t begin, const Allocation& allocation) noexcept {
  void* memory = reinterpret_cast<void*>(begin);
  unguard(memory, allocation.mapped);
  ::munmap(memory, allocation.mapped + page);
  if (allocation.descriptor >= 0) ::close(allocation.descriptor);
}

void MemoryMap::free(void* memory) noexcept {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == allocations_.end()) return;
  if (found->second.descriptor >= 0) used_[static_cast<std::size_t>(found->second.device)] -= found->second.mapped;
  release(found->first, found->second);
  allocations_.erase(found);
}

std::optional<int> MemoryMap::device_of(const void* memory) const {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  const std::lock_guard lock(mutex_);
  const auto next = allocations_.upper_bound(address);
  if (next == allocations_.begin()) return std::nullopt;
  const auto& [begin, allocation] = *std::prev(next);
  if (address >= begin + allocation.mapped) return std::nullopt;
  return allocation.device;
}

SharedAllocation MemoryMap::share(void* memory) const {
  const std::lock_guard lock(mutex_);
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == allocations_.end() || found->second.descriptor < 0)
    fail(ErrorCode::invalid_argument, "share: this is not the beginning of an allocation of an emulated device");
  const Origin origin{::getpid(), found->second.descriptor};
  SharedAllocation shared;
  static_assert(sizeof origin <= sizeof shared.handle);
  std::memcpy(shared.handle.data(), &origin, sizeof origin);
  shared.bytes = found->second.bytes;
  return shared;
}

void* MemoryMap::import(int device, const SharedAllocation& allocation) {
  Origin origin{};
  std::memcpy(&origin, allocation.handle.data(), sizeof origin);
  if (allocation.bytes == 0 || allocation.bytes > limit_ || origin.process <= 0 || origin.descriptor < 0)
    fail(ErrorCode::invalid_argument, "import: these bytes describe no allocation of an emulated device");
  const std::string path = "/proc/" + std::to_string(origin.process) + "/fd/" + std::to_string(origin.descriptor);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) fail_system("import: open " + path, errno);
  const std::size_t mapped = whole_pages(allocation.bytes);
  void* memory = nullptr;
  const std::lock_guard lock(mutex_);
  try {
    memory = map(descriptor, allocation.bytes, mapped);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
  allocations_[reinterpret_cast<std::uintptr_t>(memory)] = {device, allocation.bytes, mapped, -1};
  return memory;
}

}  // namespace trireme::device
