// SPDX-License-Identifier: Apache-2.0
#include "cli/run/signals.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>

#include <sys/signalfd.h>

namespace trireme::cli {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

SignalWatch::SignalWatch() : former_mask_(), former_pipe_() {
  sigset_t watched;
  ::sigemptyset(&watched);
  for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGCHLD}) ::sigaddset(&watched, signal);
  if (!is_ignored(SIGHUP)) ::sigaddset(&watched, SIGHUP);  // nohup(1) keeps its word
  ::signal(SIGCHLD, SIG_DFL);                              // ignored, it would take the exit codes away
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &former_pipe_);
  ::pthread_sigmask(SIG_BLOCK, &watched, &former_mask_);
  descriptor_ = Descriptor(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor_.is_open()) fail_system("signalfd", errno);
}

SignalWatch::~SignalWatch() {
  ::sigaction(SIGPIPE, &former_pipe_, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

std::vector<int> SignalWatch::read() {
  std::vector<int> signals;
  signalfd_siginfo info;
  while (::read(descriptor_.get(), &info, sizeof info) == sizeof info)
    signals.push_back(static_cast<int>(info.ssi_signo));
  return signals;
}

void SignalWatch::restore_in_child() const noexcept {
  ::sigaction(SIGPIPE, &former_pipe_, nullptr);
  ::signal(SIGINT, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &former_mask_, nullptr);
}

}  // namespace trireme::cli
