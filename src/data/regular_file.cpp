// SPDX-License-Identifier: Apache-2.0
#include "data/regular_file.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::data {

int open_regular_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  // Without O_NONBLOCK, opening a FIFO nobody writes to would never return.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    fail(ErrorCode::invalid_argument, "cannot open data file " + name + ": " + std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    const bool directory = S_ISDIR(status.st_mode);
    ::close(descriptor);
    fail(ErrorCode::invalid_argument,
         "data file " + name + (directory ? " is a directory: name a file" : " is not a regular file"));
  }
  return descriptor;
}

RegularFile::RegularFile(const std::filesystem::path& path)
    : name_(path.string()), descriptor_(open_regular_file(path)) {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) {
    const int error = errno;
    ::close(descriptor_);
    fail_system("cannot look at data file " + name_, error);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
  seconds_ = status.st_mtim.tv_sec;
  nanoseconds_ = status.st_mtim.tv_nsec;
}

RegularFile::~RegularFile() { ::close(descriptor_); }

void RegularFile::read(std::uint64_t offset, std::span<char> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got == 0) fail(ErrorCode::corrupt, name_ + ": shorter than when it was opened: was it written to meanwhile?");
    if (got < 0) {
      if (errno == EINTR) continue;
      fail_system("cannot read data file " + name_, errno);
    }
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void RegularFile::require_unchanged() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_system("cannot look at data file " + name_, errno);
  if (static_cast<std::uint64_t>(status.st_size) != size_ || status.st_mtim.tv_sec != seconds_ ||
      status.st_mtim.tv_nsec != nanoseconds_) {
    fail(ErrorCode::corrupt, name_ + ": changed since it was opened: open it again");
  }
}

}  // namespace trireme::data
