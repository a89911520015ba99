// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/captured.hpp"

#include "cli/run/descriptor.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <cerrno>
#include <csignal>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds grace{5};
constexpr std::chrono::milliseconds look_again{100};

[[noreturn]] void become(const std::string& path, char** arguments, int out, int err, pid_t parent) {
  ::signal(SIGTERM, SIG_DFL);  // a handler of the parent is no business of the child's
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above could tell the kernel
  if (::dup2(out, 1) >= 0 && ::dup2(err, 2) >= 0) ::execv(path.c_str(), arguments);
  ::_exit(127);
}

/// Reads what is there into `text`; closes at the end.
void read_from(Descriptor& stream, std::string& text) {
  std::array<char, 16384> buffer;
  const ssize_t count = ::read(stream.get(), buffer.data(), buffer.size());
  if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
  if (count == 0 || (count < 0 && errno != EINTR)) stream.close();
}

void read_both(Descriptor& out, Descriptor& err, Captured& result) {
  pollfd watched[2]{{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};  // a closed one is -1, which poll passes over
  if (::poll(watched, 2, static_cast<int>(look_again.count())) <= 0) return;
  if (watched[0].revents != 0) read_from(out, result.out);
  if (watched[1].revents != 0) read_from(err, result.err);
}

}  // namespace

Captured run_captured(const std::vector<std::string>& command, std::chrono::seconds limit) {
  Pipe out = Pipe::create(), err = Pipe::create();
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  const pid_t parent = ::getpid();
  const pid_t process = ::fork();
  if (process < 0) fail_system("fork", errno);
  if (process == 0) become(words.front(), arguments.data(), out.write.get(), err.write.get(), parent);
  out.write.close();
  err.write.close();

  Captured result;
  int status = 0;
  bool ended = false;
  auto deadline = Clock::now() + limit;
  while (!ended || out.read.is_open() || err.read.is_open()) {
    if (!ended && ::waitpid(process, &status, WNOHANG) == process) {
      ended = true;
      deadline = Clock::now() + grace;  // a grandchild may hold the streams open
    }
    if (Clock::now() > deadline) {
      if (ended) break;
      ::kill(process, result.timed_out ? SIGKILL : SIGTERM);
      result.timed_out = true;
      deadline = Clock::now() + grace;
    }
    read_both(out.read, err.read, result);
  }
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace trireme::cli
