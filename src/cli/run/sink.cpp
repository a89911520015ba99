// SPDX-License-Identifier: Apache-2.0
#include "cli/run/sink.hpp"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

// A pipe that poll(2) calls writable takes this many bytes without blocking (PIPE_BUF). The descriptor itself stays in
// its mode: O_NONBLOCK would reach everybody who shares the terminal.
constexpr std::size_t step = 4096;

/// At most `step` bytes, cut after a line where one ends there, so that lines of other writers do not fall into ours.
std::size_t next_step(std::string_view waiting) {
  if (waiting.size() <= step) return waiting.size();
  std::size_t newline = waiting.substr(0, step).rfind('\n');
  return newline == std::string_view::npos ? step : newline + 1;
}

}  // namespace

void Sink::append(std::string_view text) {
  if (!closed_) queue_ += text;
}

void Sink::flush() {
  while (pending()) {
    pollfd writable{descriptor_, POLLOUT, 0};
    if (::poll(&writable, 1, 0) <= 0 || writable.revents == 0) return;
    std::string_view waiting = std::string_view(queue_).substr(written_);
    ssize_t count = ::write(descriptor_, waiting.data(), next_step(waiting));
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      closed_ = true;  // the reader is gone, or the disk is full: then the job goes on without
      reader_gone_ = errno == EPIPE;
      break;
    }
    written_ += static_cast<std::size_t>(count);
  }
  queue_.clear();
  written_ = 0;
}

}  // namespace trireme::cli
