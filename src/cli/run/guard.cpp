// SPDX-License-Identifier: Apache-2.0
#include "cli/run/guard.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace trireme::cli {
namespace {

// The messages are plain pids: positive, watch this group; negative, no longer; zero, goodbye. Writes of so few bytes
// to a pipe are atomic.
constexpr pid_t goodbye = 0;

void close_all_but(int kept) {
  // The guard must not hold anybody's pipe open, least of all the launcher's own output.
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int standard = 0; standard <= 2; ++standard) ::dup2(null, standard);
  if (kept > 3) ::close_range(3, static_cast<unsigned>(kept) - 1, 0);
  ::close_range(static_cast<unsigned>(kept) + 1, ~0u, 0);
}

[[noreturn]] void guard_main(int pipe) {
  ::setsid();
  ::prctl(PR_SET_NAME, "trireme-guard");
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP}) ::signal(signal, SIG_IGN);
  close_all_but(pipe);

  std::vector<pid_t> groups;
  for (;;) {
    pid_t record = 0;
    ssize_t count = ::read(pipe, &record, sizeof record);
    if (count < 0 && errno == EINTR) continue;
    if (count != sizeof record) break;
    if (record == goodbye) ::_exit(0);
    if (record > 0) {
      groups.push_back(record);
    } else {
      groups.erase(std::remove(groups.begin(), groups.end(), -record), groups.end());
    }
  }
  for (pid_t group : groups) ::kill(-group, SIGKILL);
  ::_exit(0);
}

}  // namespace

Guard Guard::start() {
  Pipe pipe = Pipe::create();
  pid_t process = ::fork();
  if (process < 0) fail_system("fork", errno);
  if (process == 0) {
    pipe.write.close();
    guard_main(pipe.read.get());
  }
  // Should the guard be stopped and its pipe full, the launcher goes on without it.
  ::fcntl(pipe.write.get(), F_SETFL, O_NONBLOCK);
  return Guard(process, std::move(pipe.write));
}

Guard::Guard(Guard&& other) noexcept : process_(std::exchange(other.process_, -1)), pipe_(std::move(other.pipe_)) {}

Guard::~Guard() {
  if (process_ <= 0) return;
  tell(goodbye);
  pipe_.close();
  ::kill(process_, SIGCONT);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Guard::tell(pid_t record) noexcept {
  [[maybe_unused]] auto written = ::write(pipe_.get(), &record, sizeof record);
}

}  // namespace trireme::cli
