// SPDX-License-Identifier: Apache-2.0
#include "optim/state_file.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

namespace trireme::optim {
namespace {

/// The largest read or write at once: the system takes no more than 2 GiB.
constexpr std::size_t most_at_once = std::size_t{1} << 30;

int open_unnamed(const std::string& folder) {
  int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return descriptor;
  // A file system without such files: a name for a moment.
  std::string name = folder + "/.trireme-state-XXXXXX";
  descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor >= 0) ::unlink(name.c_str());
  return descriptor;
}

}  // namespace

StateFile::StateFile(const std::string& folder) : folder_(folder) {
  if (folder.empty()) fail(ErrorCode::invalid_argument, "offloaded optimizer state needs a folder: the name is empty");
  if (const long page = ::sysconf(_SC_PAGESIZE); page > 0) page_ = static_cast<std::uint64_t>(page);
  descriptor_ = open_unnamed(folder);
  if (descriptor_ < 0) fail_to("cannot be made", errno);
}

StateFile::~StateFile() { ::close(descriptor_); }

void StateFile::fail_to(const char* what, int errno_value) const {
  fail_system("the file of optimizer state in the folder '" + folder_ + "' " + what, errno_value);
}

std::uint64_t StateFile::whole_pages(std::uint64_t bytes) const { return (bytes + page_ - 1) / page_ * page_; }

void StateFile::reserve(std::uint64_t offset, std::uint64_t bytes) const {
  int result = 0;
  do {
    result = ::fallocate(descriptor_, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS) fail_to("has no room for the state of another parameter", errno);
  const std::vector<std::byte> zeros(std::min<std::uint64_t>(bytes, std::uint64_t{1} << 20));
  for (std::uint64_t done = 0; done < bytes; done += zeros.size())
    write(offset + done, std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), bytes - done)));
}

std::uint64_t StateFile::take(std::uint64_t bytes) {
  bytes = whole_pages(bytes);
  const auto fit = std::find_if(free_.begin(), free_.end(), [&](const auto& each) { return each.second >= bytes; });
  if (fit != free_.end()) {
    const auto [offset, found] = *fit;
    if (found > bytes) free_.emplace(offset + bytes, found - bytes);
    free_.erase(offset);
    return offset;
  }
  try {
    reserve(end_, bytes);
  } catch (...) {
    if (::ftruncate(descriptor_, static_cast<off_t>(end_)) != 0) {
      // Longer than it must be: what follows takes that.
    }
    throw;
  }
  return std::exchange(end_, end_ + bytes);
}

void StateFile::give_back(std::uint64_t offset, std::uint64_t bytes) noexcept {
  bytes = whole_pages(bytes);
  try {
    const auto behind = free_.upper_bound(offset);
    if (behind != free_.end() && behind->first == offset + bytes) {
      bytes += behind->second;
      free_.erase(behind);
    }
    if (auto before = free_.lower_bound(offset); before != free_.begin()) {
      --before;
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        free_.erase(before);
      }
    }
    if (offset + bytes != end_) {
      free_.emplace(offset, bytes);
    } else if (::ftruncate(descriptor_, static_cast<off_t>(offset)) == 0) {
      end_ = offset;
    }
  } catch (const std::exception&) {  // no memory to remember it: the room is lost until the file is
  }
}

void StateFile::read(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const auto got = ::pread(descriptor_, to.data(), std::min(to.size(), most_at_once), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to("cannot be read", errno);
    if (got == 0) fail_to("has become shorter", EIO);
    to = to.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void StateFile::write(std::uint64_t offset, std::span<const std::byte> from) const {
  while (!from.empty()) {
    const auto put =
        ::pwrite(descriptor_, from.data(), std::min(from.size(), most_at_once), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_to("cannot be written", errno);
    from = from.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void StateFile::expect(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  ::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

std::byte* StateFile::map(std::uint64_t offset, std::uint64_t bytes) const {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) fail_to("cannot be mapped", errno);
  return static_cast<std::byte*>(memory);
}

StateExtent::StateExtent(std::shared_ptr<StateFile> file, std::uint64_t bytes)
    : file_(std::move(file)), bytes_(bytes), offset_(file_->take(bytes)) {}

StateExtent::~StateExtent() {
  unmap();
  file_->give_back(offset_, bytes_);
}

std::byte* StateExtent::map() {
  if (mapped_ == nullptr) mapped_ = file_->map(offset_, bytes_);
  return mapped_;
}

void StateExtent::unmap() noexcept {
  if (mapped_ != nullptr) ::munmap(std::exchange(mapped_, nullptr), bytes_);
}

}  // namespace trireme::optim
