// SPDX-License-Identifier: Apache-2.0
#include "trireme/transport/arena.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::transport {
namespace {

constexpr std::size_t growth = std::size_t{4} << 20;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

std::size_t physical_memory() {
  return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Every rank of a host maps every other's reserve: 64 ranks with 2 TiB each would need all of 47 bits of address space.
constexpr std::size_t most_by_default = std::size_t{64} << 30;

std::string reserve_advice() {
  rlimit space{};
  const bool is_limited = ::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
  return is_limited ? "raise the limit of address space (ulimit -v, " + std::to_string(space.rlim_cur) +
                          " bytes), or Options::arena_reserve"
                    : "raise Options::arena_reserve";
}

}  // namespace

Bytes Arena::usual_reserve(std::size_t arenas) {
  std::size_t reserve = std::min(physical_memory(), most_by_default);
  rlimit space{};
  if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
    const std::size_t share = arenas <= 1 ? space.rlim_cur / 2 : space.rlim_cur / 3 * 2 / arenas;
    reserve = std::min(reserve, share / growth * growth);
  }
  return Bytes{std::max(reserve, growth)};
}

Arena::Arena(Bytes reserve) : reserve_(round_up((reserve.value != 0 ? reserve : usual_reserve()).value, growth)) {
  descriptor_ = ::memfd_create("trireme-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0) fail_system("memfd_create", errno);
  // Peers map the file: it may grow under them but never shrink, which would be their SIGBUS.
  if (::fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) {
    const int reason = errno;
    ::close(descriptor_);
    fail_system("sealing the arena", reason);
  }
  void* base = ::mmap(nullptr, reserve_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor_, 0);
  if (base == MAP_FAILED) {
    const int reason = errno;
    ::close(descriptor_);
    fail_system("reserving " + std::to_string(reserve_ >> 20) +
                    " MiB of address space for the arena (Options::arena_reserve sets how much)",
                reason);
  }
  base_ = static_cast<std::byte*>(base);
  try {
    extend(directory_bytes);
  } catch (...) {
    ::munmap(base_, reserve_);
    ::close(descriptor_);
    throw;
  }
}

Arena::~Arena() {
  ::munmap(base_, reserve_);
  ::close(descriptor_);
}

std::span<std::byte> Arena::allocate(std::size_t bytes) {
  if (bytes > reserve_) {
    fail(ErrorCode::system, "the arena cannot hold " + std::to_string(bytes) + " bytes: its reserve is " +
                                std::to_string(reserve_) + "; " + reserve_advice());
  }
  const std::size_t wanted = std::max(round_up(bytes, alignment), alignment);
  std::lock_guard lock(mutex_);
  auto hole = std::find_if(free_.begin(), free_.end(), [&](const auto& range) { return range.second >= wanted; });
  // The last hole may grow: what lies behind it has never been handed out.
  if (hole == free_.end() && !free_.empty() && free_.rbegin()->first + free_.rbegin()->second == end_) {
    hole = std::prev(free_.end());
  }
  const bool reused = hole != free_.end();
  const std::size_t offset = reused ? hole->first : end_;
  const std::size_t held = reused ? hole->second : 0;
  if (offset + wanted > end_) extend(offset + wanted);
  if (reused) {
    free_.erase(hole);
    if (held > wanted) free_.emplace(offset + wanted, held - wanted);
  }
  taken_.emplace(offset, wanted);
  std::memset(base_ + offset, 0, std::min(held, wanted));  // fresh pages are zero already
  return {base_ + offset, bytes};
}

void Arena::extend(std::size_t end) {
  if (end > reserve_) {
    fail(ErrorCode::system,
         "the arena's reserve of " + std::to_string(reserve_) + " bytes is exhausted; " + reserve_advice());
  }
  if (end > file_size_) {
    const std::size_t size = std::min(reserve_, round_up(end, growth));
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail_system("growing the arena", errno);
    file_size_ = size;
  }
  end_ = end;
}

void Arena::release(std::span<std::byte> range) noexcept {
  std::lock_guard lock(mutex_);
  auto taken = taken_.find(static_cast<std::size_t>(range.data() - base_));
  if (taken == taken_.end()) return;
  auto [offset, bytes] = *taken;
  taken_.erase(taken);
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + bytes) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      previous->second += bytes;
      return;
    }
  }
  free_.emplace_hint(next, offset, bytes);
}

bool Arena::contains(const void* data, std::size_t bytes, std::uint64_t& offset) const noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(data);
  const auto base = reinterpret_cast<std::uintptr_t>(base_);
  if (first < base || first - base > reserve_ || bytes > reserve_ - (first - base)) return false;
  offset = first - base;
  return true;
}

PeerArena::PeerArena(int descriptor, std::size_t reserve) : descriptor_(descriptor), reserve_(reserve) {
  const int seals = ::fcntl(descriptor, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    ::close(descriptor);
    fail(ErrorCode::corrupt, "the peer's arena is not a memfd sealed against shrinking");
  }
  void* base = ::mmap(nullptr, reserve_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (base == MAP_FAILED) {
    const int reason = errno;
    ::close(descriptor);
    fail_system("mapping " + std::to_string(reserve_ >> 20) +
                    " MiB of a peer's arena (Options::arena_reserve there sets how much)",
                reason);
  }
  base_ = static_cast<std::byte*>(base);
}

PeerArena::~PeerArena() {
  ::munmap(base_, reserve_);
  ::close(descriptor_);
}

std::byte* PeerArena::at(std::uint64_t offset, std::size_t bytes) noexcept {
  if (offset > reserve_ || bytes > reserve_ - offset) return nullptr;
  if (offset + bytes > known_size_) {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return nullptr;
    known_size_ = static_cast<std::size_t>(status.st_size);
    if (offset + bytes > known_size_) return nullptr;
  }
  return base_ + offset;
}

}  // namespace trireme::transport
