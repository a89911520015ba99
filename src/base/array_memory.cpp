// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/array_memory.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include <sys/mman.h>

namespace trireme {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t least_on_huge_pages = huge_page / 2;

std::align_val_t alignment_of(std::size_t bytes) {
  return std::align_val_t{bytes < least_on_huge_pages ? ArrayMemory::alignment : huge_page};
}

}  // namespace

ArrayMemory::ArrayMemory(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  std::size_t whole = bytes;
  if (bytes >= least_on_huge_pages) {
    if (bytes > std::numeric_limits<std::ptrdiff_t>::max() - huge_page) throw std::bad_alloc();
    whole = (bytes + huge_page - 1) / huge_page * huge_page;
  }
  data_ = static_cast<std::byte*>(::operator new(whole, alignment_of(bytes)));
  ask_for_huge_pages(data_, whole);
  std::memset(data_, 0, bytes);
}

ArrayMemory::~ArrayMemory() {
  if (data_ != nullptr) ::operator delete(data_, alignment_of(bytes_));
}

void ask_for_huge_pages(void* data, std::size_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t first = (begin + huge_page - 1) / huge_page * huge_page;
  const std::uintptr_t last = (begin + bytes) / huge_page * huge_page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // a wish
}

}  // namespace trireme
