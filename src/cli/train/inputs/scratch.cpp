// SPDX-License-Identifier: Apache-2.0
#include "cli/train/inputs/scratch.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr std::uint64_t left_to_others = std::uint64_t{32} << 20;
constexpr std::uint64_t between_looks = std::uint64_t{16} << 20;

}  // namespace

Scratch::Scratch(const std::filesystem::path& parent) {
  std::string name = (parent / "trireme-inputs-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    fail(ErrorCode::invalid_argument, "cannot make a folder for input data in " + parent.string() + ": " +
                                          std::strerror(errno) + "; TMPDIR names another place");
  }
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path Scratch::new_file() {
  char name[32];
  std::snprintf(name, sizeof name, "%012llu", static_cast<unsigned long long>(files_++));
  return path_ / name;
}

std::uint64_t room_in(const std::filesystem::path& folder) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  return error ? std::numeric_limits<std::uint64_t>::max() : space.available;  // then writing will tell
}

std::string mebibytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

ScratchFile::ScratchFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {
  if (descriptor_ < 0) fail_system("cannot make the file " + path_.string(), errno);
}

ScratchFile::~ScratchFile() { ::close(descriptor_); }

void ScratchFile::check_room() {
  unchecked_ = 0;
  if (room_in(path_.parent_path()) >= left_to_others) return;
  fail(ErrorCode::invalid_argument,
       "there is no room for input data in " + path_.parent_path().string() + "; TMPDIR names another place");
}

void ScratchFile::write(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    if (size_ == 0 || unchecked_ >= between_looks) check_room();
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), between_looks));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == ENOSPC) {
      fail(ErrorCode::invalid_argument,
           "there is no room for input data in " + path_.parent_path().string() + "; TMPDIR names another place");
    }
    if (written < 0) fail_system("cannot write " + path_.string(), errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    size_ += static_cast<std::uint64_t>(written);
    unchecked_ += static_cast<std::uint64_t>(written);
  }
}

}  // namespace trireme::cli
