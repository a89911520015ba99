// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/staging.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <string>
#include <utility>

#include <sys/mman.h>

namespace trireme::checkpoint {

Staging::Staging(Staging&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Staging& Staging::operator=(Staging&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Staging::~Staging() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

std::span<std::byte> Staging::room(std::size_t bytes) {
  if (bytes > size_) {
    *this = Staging();
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail_system("memory for a copy of " + std::to_string(bytes) + " bytes of state", errno);
    ::madvise(memory, bytes, MADV_HUGEPAGE);  // a wish
    data_ = static_cast<std::byte*>(memory);
    size_ = bytes;
  }
  return {data_, bytes};
}

void Staging::touch(std::size_t bytes) {
  constexpr std::size_t page = 4096;
  const std::span<std::byte> all = room(bytes);
  for (std::size_t at = 0; at < all.size(); at += page) static_cast<volatile std::byte&>(all[at]) = std::byte{0};
}

}  // namespace trireme::checkpoint
