// SPDX-License-Identifier: Apache-2.0
#include "cli/train/inputs/fifo_source.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr int look_again_ms = 50;
constexpr std::chrono::seconds between_lines{30};

}  // namespace

/// One wait: looks whether it is to end, and says meanwhile what for.
class FifoSource::Patience {
 public:
  Patience(const FifoWait& wait, std::string what) : wait_(wait), what_(std::move(what)) {}

  void look() {
    const auto now = Clock::now();
    if (wait_.stop.load()) fail(ErrorCode::closed, "the job has ended while it waited: " + what_);
    if (now - began_ >= wait_.longest) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait_.longest).count();
      fail(ErrorCode::invalid_argument, what_ + " for " + std::to_string(seconds) + " s");
    }
    if (now - said_ < between_lines) return;
    said_ = now;
    if (wait_.say) wait_.say(what_);
  }

  void restart() { began_ = said_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  const FifoWait& wait_;
  std::string what_;
  Clock::time_point began_ = Clock::now();
  Clock::time_point said_ = began_;
};

FifoSource::FifoSource(std::string path, FifoWait wait) : path_(std::move(path)), wait_(std::move(wait)) {
  Patience patience(wait_, "the pipe " + path_ + " is not there");
  while ((descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0) {
    if (errno != ENOENT && errno != EINTR)
      fail(ErrorCode::invalid_argument, "cannot open the pipe " + path_ + ": " + std::strerror(errno));
    patience.look();
    std::this_thread::sleep_for(std::chrono::milliseconds(look_again_ms));
  }
  struct stat status {};
  const bool is_known = ::fstat(descriptor_, &status) == 0;
  is_fifo_ = is_known && S_ISFIFO(status.st_mode);
  if (!is_fifo_ && !(is_known && S_ISREG(status.st_mode))) {
    ::close(descriptor_);
    fail(ErrorCode::invalid_argument, path_ + " is no pipe");
  }
}

FifoSource::~FifoSource() { ::close(descriptor_); }

/// A FIFO without a writer reads as ended; only poll tells whether there has been one (POLLHUP) since it was opened here.
std::size_t FifoSource::read(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  Patience patience(wait_, "nothing comes through the pipe " + path_);
  while (done < out.size() && !has_ended_) {
    pollfd look{.fd = descriptor_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&look, 1, look_again_ms);
    if (ready < 0 && errno != EINTR) fail_system("cannot wait for the pipe " + path_, errno);
    if (ready <= 0) {
      patience.look();
      continue;
    }
    const ssize_t got = ::read(descriptor_, out.data() + done, out.size() - done);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) fail_system("cannot read the pipe " + path_, errno);
    if (got == 0) has_ended_ = true;
    patience.restart();
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace trireme::cli
