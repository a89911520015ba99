// SPDX-License-Identifier: Apache-2.0
#include "engines/device/pinned_pool.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace trireme::engines::device {
namespace {

/// Two pinned ranges must not share one.
constexpr std::size_t page = 4096;

std::size_t rounded(std::size_t bytes) { return std::bit_ceil(std::max(bytes, page)); }

}  // namespace

PinnedPool::~PinnedPool() {
  for (const Whole& each : all_) {
    runtime_->unpin(each.pinned);
    arena_->release(each.range);
  }
}

PinnedPool::Size& PinnedPool::of(std::array<Size, 64>& sizes, std::size_t bytes) {
  return sizes[static_cast<std::size_t>(std::countr_zero(rounded(bytes)))];
}

std::span<std::byte> PinnedPool::acquire(std::size_t bytes) {
  if (bytes == 0) return {};
  Size& size = of(sizes_, bytes);
  if (!size.free.empty()) {
    const auto buffer = size.free.back();
    size.free.pop_back();
    return buffer;
  }
  all_.reserve(all_.size() + 1);
  size.free.reserve(size.made + 1);  // so that giving back never allocates
  const auto range = arena_->allocate(rounded(bytes) + page);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(range.data()) % page;
  std::byte* const begin = range.data() + (past == 0 ? 0 : page - past);
  try {
    runtime_->pin(begin, rounded(bytes));
  } catch (...) {
    arena_->release(range);
    throw;
  }
  all_.push_back({range, begin});
  ++size.made;
  return {begin, rounded(bytes)};
}

void PinnedPool::release(std::span<std::byte> buffer) noexcept {
  if (!buffer.empty()) of(sizes_, buffer.size()).free.push_back(buffer);
}

}  // namespace trireme::engines::device
