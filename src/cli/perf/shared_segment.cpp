// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/shared_segment.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>

namespace trireme::cli {
namespace {

/// Empty when it cannot be mapped: errno says why.
std::span<std::byte> map(int descriptor, std::size_t size) noexcept {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return {};
  return {static_cast<std::byte*>(memory), size};
}

}  // namespace

SharedSegment::~SharedSegment() {
  if (is_mapped()) ::munmap(bytes_.data(), bytes_.size());
}

SharedSegment SharedSegment::make(std::size_t size) {
  SharedSegment segment;
  segment.file_ = Descriptor(::memfd_create("trireme perf", MFD_CLOEXEC));
  if (!segment.file_.is_open()) fail_system("memfd_create", errno);
  if (::ftruncate(segment.file_.get(), static_cast<off_t>(size)) != 0) fail_system("ftruncate", errno);
  segment.bytes_ = map(segment.file_.get(), size);
  if (!segment.is_mapped()) fail_system("mmap", errno);
  return segment;
}

SharedSegment SharedSegment::of(pid_t process, int descriptor, std::size_t size) noexcept {
  SharedSegment segment;
  const std::string path = "/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor);
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (file.is_open()) segment.bytes_ = map(file.get(), size);
  return segment;
}

}  // namespace trireme::cli
