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

}  // namespace

ArrayMemory::ArrayMemory(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes > std::numeric_limits<std::ptrdiff_t>::max()) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{alignment}));
  ask_for_huge_pages(data_, bytes);
  std::memset(data_, 0, bytes);
}

ArrayMemory::~ArrayMemory() {
  if (data_ != nullptr) ::operator delete (data_, std::align_val_t{alignment});
}

void ask_for_huge_pages(void* data, std::size_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  const std::uintptr_t first = (begin + huge_page - 1) / huge_page * huge_page;
  const std::uintptr_t last = (begin + bytes) / huge_page * huge_page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);  // a wish
}

}  // namespace trireme
