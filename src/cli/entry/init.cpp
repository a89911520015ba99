// SPDX-License-Identifier: Apache-2.0
#include "cli/entry/init.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr int handed_on[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

sigset_t watched_signals() {
  sigset_t watched;
  ::sigemptyset(&watched);
  ::sigaddset(&watched, SIGCHLD);
  for (const int signal : handed_on) ::sigaddset(&watched, signal);
  return watched;
}

bool holds_terminal() { return ::isatty(STDIN_FILENO) == 1 && ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

/// A process of the background that takes the terminal would be stopped for it.
void give_terminal(pid_t group) {
  sigset_t stop, former;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTTOU);
  ::sigprocmask(SIG_BLOCK, &stop, &former);
  ::tcsetpgrp(STDIN_FILENO, group);
  ::sigprocmask(SIG_SETMASK, &former, nullptr);
}

/// Everybody who has ended. True when `child` was among them.
bool reap(pid_t child, int& status) {
  bool has_ended = false;
  for (;;) {
    int one = 0;
    const pid_t process = ::waitpid(-1, &one, WNOHANG);
    if (process < 0 && errno == EINTR) continue;
    if (process <= 0) return has_ended;
    if (process != child) continue;
    status = one;
    has_ended = true;
  }
}

}  // namespace

int run_as_init(const std::function<int()>& work) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGCHLD, SIG_DFL);  // ignored, it would take the exit code away
  const sigset_t watched = watched_signals();
  sigset_t former;
  ::sigprocmask(SIG_BLOCK, &watched, &former);
  const bool has_terminal = holds_terminal();
  const pid_t init = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail_system("fork", errno);
  if (child == 0) {
    ::setpgid(0, 0);
    if (has_terminal) give_terminal(::getpid());
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != init) ::_exit(127);
    ::sigprocmask(SIG_SETMASK, &former, nullptr);
    const int code = work();
    std::fflush(nullptr);
    ::_exit(code);
  }
  ::setpgid(child, child);  // both sides: whoever comes first
  for (;;) {
    int status = 0;
    if (reap(child, status)) {
      if (has_terminal) give_terminal(::getpgrp());
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    const int signal = ::sigwaitinfo(&watched, nullptr);
    if (signal > 0 && signal != SIGCHLD) ::kill(child, signal);
  }
}

}  // namespace trireme::cli
