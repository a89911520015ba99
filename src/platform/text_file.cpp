// SPDX-License-Identifier: Apache-2.0
#include "platform/text_file.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::platform {
namespace {

constexpr std::size_t most_file_bytes = 1u << 20;

/// Closed at the end of the scope.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

[[noreturn]] void refuse_file(const std::string& path, const std::string& why) {
  fail(ErrorCode::invalid_argument, path + ": " + why);
}

}  // namespace

std::optional<std::string> read_text_file(const std::string& path) {
  // Not blocking: where a file is expected somebody may have put a FIFO.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    refuse_file(path, std::string("cannot be read: ") + std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(file.number, &status) != 0 || !S_ISREG(status.st_mode)) refuse_file(path, "expected an ordinary file");
  std::string text;
  char part[16384];
  for (;;) {
    const ssize_t count = ::read(file.number, part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse_file(path, std::string("cannot be read: ") + std::strerror(errno));
    if (count == 0) return text;
    text.append(part, static_cast<std::size_t>(count));
    if (text.size() > most_file_bytes) refuse_file(path, "more than 1 MiB: not what the platform writes");
  }
}

}  // namespace trireme::platform
