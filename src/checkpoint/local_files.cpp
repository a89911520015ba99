// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/local_files.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::checkpoint {
namespace {

class Handle {
 public:
  explicit Handle(int descriptor) : descriptor_(descriptor) {}
  Handle(Handle&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

Handle open_or_fail(const std::string& path, int flags, const char* what) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) fail_system(std::string("cannot ") + what + " " + path, errno);
  return Handle(descriptor);
}

void sync_or_fail(int descriptor, const std::string& path) {
  while (::fsync(descriptor) != 0) {
    // Some mounts keep no folders of their own, and so have nothing to sync.
    if (errno == EINVAL || errno == ENOTSUP) return;
    if (errno != EINTR) fail_system("cannot sync " + path, errno);
  }
}

class LocalOutput final : public OutputFile {
 public:
  LocalOutput(Handle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {}

  void write(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(handle_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_system("cannot write " + path_, errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  void sync() override { sync_or_fail(handle_.get(), path_); }

 private:
  Handle handle_;
  std::string path_;
};

class LocalInput final : public InputFile {
 public:
  LocalInput(Handle handle, std::string path) : handle_(std::move(handle)), path_(std::move(path)) {
    struct stat status {};
    if (::fstat(handle_.get(), &status) != 0) fail_system("cannot read " + path_, errno);
    if (!S_ISREG(status.st_mode)) fail(ErrorCode::invalid_argument, path_ + " is no regular file");
    size_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, std::span<std::byte> bytes) const override {
    while (!bytes.empty()) {
      const ssize_t got = ::pread(handle_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail_system("cannot read " + path_, errno);
      if (got == 0) fail(ErrorCode::corrupt, path_ + " ends at byte " + std::to_string(offset) + ": it was cut off");
      offset += static_cast<std::uint64_t>(got);
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  Handle handle_;
  std::string path_;
  std::uint64_t size_ = 0;
};

class LocalFiles final : public FileSystem {
 public:
  void make_folder(const std::string& path) override {
    if (path.empty() || path == "/") return;
    if (::mkdir(path.c_str(), 0777) == 0) return sync_folder(folder_above(path));
    if (errno == ENOENT) {
      make_folder(folder_above(path));
      if (::mkdir(path.c_str(), 0777) == 0) return sync_folder(folder_above(path));
    }
    struct stat status {};
    if (const int reason = errno; reason != EEXIST || ::stat(path.c_str(), &status) != 0)
      fail_system("cannot make the folder " + path, reason);
    if (!S_ISDIR(status.st_mode)) fail(ErrorCode::invalid_argument, path + " is no folder");
  }

  std::vector<std::string> list(const std::string& folder) const override {
    DIR* const directory = ::opendir(folder.c_str());
    if (directory == nullptr) {
      if (errno == ENOENT) return {};
      fail_system("cannot list " + folder, errno);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    const int reason = errno;
    ::closedir(directory);
    if (reason != 0) fail_system("cannot list " + folder, reason);
    std::sort(names.begin(), names.end());
    return names;
  }

  std::optional<std::uint64_t> size(const std::string& path) const override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      if (S_ISREG(status.st_mode)) return static_cast<std::uint64_t>(status.st_size);
      return std::nullopt;
    }
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail_system("cannot look at " + path, errno);
  }

  std::unique_ptr<OutputFile> create(const std::string& path) override {
    return std::make_unique<LocalOutput>(open_or_fail(path, O_WRONLY | O_CREAT | O_EXCL, "create"), path);
  }
  std::unique_ptr<InputFile> open(const std::string& path) const override {
    return std::make_unique<LocalInput>(open_or_fail(path, O_RDONLY | O_NONBLOCK, "open"), path);
  }

  std::optional<bool> link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return true;
    if (errno == EEXIST) return false;
    if (errno == EPERM || errno == ENOTSUP || errno == ENOSYS || errno == EMLINK) return std::nullopt;
    fail_system("cannot link " + to, errno);
  }

  void replace(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return;
    const int reason = errno;
    // Mounts of object stores have no rename.
    if (reason == EPERM || reason == ENOTSUP || reason == ENOSYS) return FileSystem::replace(from, to);
    fail_system("cannot replace " + to, reason);
  }

  void sync_folder(const std::string& folder) override {
    const Handle handle = open_or_fail(folder, O_RDONLY | O_DIRECTORY, "sync");
    sync_or_fail(handle.get(), folder);
  }

  bool remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    fail_system("cannot remove " + path, errno);
  }

  bool remove_folder(const std::string& path) override {
    if (::rmdir(path.c_str()) == 0) return true;
    if (errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST) return false;
    fail_system("cannot remove the folder " + path, errno);
  }

 private:
  static std::string folder_above(const std::string& path) {
    const std::size_t end = path.find_last_not_of('/');
    const std::size_t slash = path.find_last_of('/', end);
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
  }
};

}  // namespace

std::unique_ptr<FileSystem> local_files() { return std::make_unique<LocalFiles>(); }

}  // namespace trireme::checkpoint
