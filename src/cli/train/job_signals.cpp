// SPDX-License-Identifier: Apache-2.0
#include "cli/train/job_signals.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

sigset_t watched_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGUSR2}) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

JobSignals::JobSignals() : former_mask_() {
  const sigset_t watched = watched_signals();
  signals_ = Descriptor(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.is_open()) fail_system("signalfd", errno);
  wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC));
  if (!wake_.is_open()) fail_system("eventfd", errno);
  ::pthread_sigmask(SIG_BLOCK, &watched, &former_mask_);
  thread_ = std::thread([this] { take(); });
}

JobSignals::~JobSignals() {
  const std::uint64_t one = 1;
  while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
  ::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

void JobSignals::attend(Communicator communicator) {
  const std::lock_guard lock(mutex_);
  communicator_.emplace(std::move(communicator));
}

void JobSignals::take() noexcept {
  pollfd polled[2]{{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(polled, 2, -1) < 0) continue;  // EINTR
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) {
      if (polled[1].revents != 0) return;  // not before everything sent is taken
      continue;
    }
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGUSR2) {
      show_recorder();
      continue;
    }
    const bool attended = [&] {
      const std::lock_guard lock(mutex_);
      return communicator_.has_value();
    }();
    if (!attended || stop_signal() != 0) end_by(signal);
    stop_signal_.store(signal, std::memory_order_relaxed);
  }
}

void JobSignals::end_by(int signal) noexcept {
  ::signal(signal, SIG_DFL);
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(signal);
}

void JobSignals::show_recorder() noexcept try {
  std::string line;
  {
    const std::lock_guard lock(mutex_);
    line = communicator_ ? communicator_->flight_recorder_json() : "{\"operations\": []}";
  }
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
} catch (...) {  // no memory for the text: the job goes on
}

}  // namespace trireme::cli
