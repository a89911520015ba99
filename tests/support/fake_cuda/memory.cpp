// SPDX-License-Identifier: Apache-2.0
#include "support/fake_cuda/memory.hpp"

#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace trireme::testing {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t aside = 256;  ///< from a page's beginning to an allocation's: what CUDA promises of alignment
constexpr std::size_t addresses = std::size_t{1} << 40;  ///< for device memory: none is given twice

std::size_t whole_pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

std::uintptr_t reserve(std::size_t bytes) {
  void* const memory = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "mmap of a fake device's addresses");
  return reinterpret_cast<std::uintptr_t>(memory);
}

}  // namespace

FakeMemory::FakeMemory(int devices, std::size_t bytes_each)
    : bytes_each_(bytes_each), forbidden_(reserve(addresses)), used_(static_cast<std::size_t>(devices)) {
  shift_ = static_cast<std::int64_t>(reserve(addresses) - forbidden_);
}

FakeMemory::Kind FakeMemory::kind_of(const Allocation& allocation) {
  if (allocation.opener != none) return Kind::imported;
  if (allocation.device != host) return Kind::allocated;
  return allocation.registered ? Kind::registered : Kind::pinned;
}

// Between two allocations lies a page that is nobody's.
std::uintptr_t FakeMemory::place(std::size_t bytes) {
  const std::size_t taken = whole_pages(aside + bytes) + page;
  if (taken > addresses - next_) throw std::runtime_error("the addresses of fake devices are used up");
  const std::uintptr_t begin = forbidden_ + next_;
  next_ += taken;
  return begin;
}

void* FakeMemory::map(int descriptor, std::size_t bytes) {
  const std::uintptr_t begin = place(bytes);
  void* const at = reinterpret_cast<void*>(begin + static_cast<std::uintptr_t>(shift_));
  if (::mmap(at, whole_pages(aside + bytes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0) ==
      MAP_FAILED)
    return nullptr;
  return reinterpret_cast<void*>(begin + aside);
}

void* FakeMemory::allocate(int device, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  auto& used = used_[static_cast<std::size_t>(device)];
  if (bytes > bytes_each_ || whole_pages(bytes) > bytes_each_ - used) return nullptr;
  const int descriptor = ::memfd_create("fake-cuda-device", MFD_CLOEXEC);
  if (descriptor < 0) return nullptr;
  void* const memory =
      ::ftruncate(descriptor, static_cast<off_t>(whole_pages(aside + bytes))) == 0 ? map(descriptor, bytes) : nullptr;
  if (memory == nullptr) {
    ::close(descriptor);
    return nullptr;
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  std::memset(reinterpret_cast<void*>(begin + static_cast<std::uintptr_t>(shift_)), 0xff, bytes);
  used += whole_pages(bytes);
  allocations_[begin] = {.device = device, .bytes = bytes, .shift = shift_, .descriptor = descriptor};
  return memory;
}

void* FakeMemory::allocate_pinned(std::size_t bytes) {
  void* const memory = ::mmap(nullptr, whole_pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::memset(memory, 0xff, bytes);
  const std::lock_guard lock(mutex_);
  allocations_[reinterpret_cast<std::uintptr_t>(memory)] = {.device = host, .bytes = bytes};
  return memory;
}

bool FakeMemory::pin(void* memory, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::lock_guard lock(mutex_);
  const auto behind = allocations_.lower_bound(begin + bytes);
  if (behind != allocations_.begin()) {
    const auto& [before, allocation] = *std::prev(behind);
    if (before + allocation.bytes > begin) return false;
  }
  allocations_[begin] = {.device = host, .bytes = bytes, .registered = true};
  return true;
}

bool FakeMemory::free(void* memory, Kind kind) {
  const std::lock_guard lock(mutex_);
  const auto found = allocations_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == allocations_.end() || kind_of(found->second) != kind) return false;
  const Allocation& allocation = found->second;
  if (kind == Kind::pinned) ::munmap(memory, whole_pages(allocation.bytes));
  if (kind == Kind::allocated || kind == Kind::imported) {
    void* const at = reinterpret_cast<void*>(found->first - aside + static_cast<std::uintptr_t>(shift_));
    ::mmap(at, whole_pages(aside + allocation.bytes), PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  }
  if (kind == Kind::allocated) {
    ::close(allocation.descriptor);
    used_[static_cast<std::size_t>(allocation.device)] -= whole_pages(allocation.bytes);
  }
  allocations_.erase(found);
  return true;
}

std::optional<FakeMemory::Found> FakeMemory::find(const void* address) const {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  const std::lock_guard lock(mutex_);
  const auto behind = allocations_.upper_bound(wanted);
  if (behind == allocations_.begin()) return std::nullopt;
  const auto& [begin, allocation] = *std::prev(behind);
  if (wanted >= begin + allocation.bytes) return std::nullopt;
  return Found{begin, allocation};
}

std::byte* FakeMemory::bytes_of(const void* address, std::size_t bytes) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const bool of_device = begin >= forbidden_ && begin < forbidden_ + addresses;
  const auto found = find(address);
  if (found ? begin + bytes > found->begin + found->allocation.bytes : of_device) return nullptr;
  if (!of_device) return reinterpret_cast<std::byte*>(begin);
  return reinterpret_cast<std::byte*>(begin + static_cast<std::uintptr_t>(shift_));
}

std::optional<FakeMemory::Handle> FakeMemory::share(const void* memory) const {
  const auto found = find(memory);
  if (!found || kind_of(found->allocation) != Kind::allocated) return std::nullopt;
  return Handle{::getpid(), found->allocation.descriptor, found->allocation.device, found->allocation.bytes};
}

void* FakeMemory::import(int device, const Handle& handle) {
  const std::string path = "/proc/" + std::to_string(handle.process) + "/fd/" + std::to_string(handle.descriptor);
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return nullptr;
  const std::lock_guard lock(mutex_);
  void* const memory = map(descriptor, handle.bytes);
  ::close(descriptor);
  if (memory == nullptr) return nullptr;
  allocations_[reinterpret_cast<std::uintptr_t>(memory)] = {
      .device = handle.device, .bytes = handle.bytes, .shift = shift_, .opener = device};
  return memory;
}

std::vector<ptx::Range> FakeMemory::reachable(int device, std::uint64_t devices) const {
  std::vector<ptx::Range> ranges;
  const std::lock_guard lock(mutex_);
  for (const auto& [begin, allocation] : allocations_) {
    const bool own = allocation.opener == none ? allocation.device == device || (devices >> allocation.device & 1) != 0
                                               : allocation.opener == device;
    if (allocation.device == host || own) ranges.push_back({begin, begin + allocation.bytes, allocation.shift});
  }
  return ranges;
}

std::size_t FakeMemory::free_bytes(int device) const {
  const std::lock_guard lock(mutex_);
  return bytes_each_ - used_[static_cast<std::size_t>(device)];
}

}  // namespace trireme::testing
