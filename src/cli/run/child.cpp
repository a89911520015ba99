// SPDX-License-Identifier: Apache-2.0
#include "cli/run/child.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace trireme::cli {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// All the child needs, made before the fork: the launcher has threads, so the child may call async-signal-safe
/// functions only.
struct Prepared {
  const char* path;
  char** arguments;
  char** environment;
  const cpu_set_t* processors;
  const SignalWatch* signals;
  pid_t launcher;
  int out;
  int err;
  int report;
};

[[noreturn]] void child_main(const Prepared& child) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != child.launcher) ::_exit(127);  // it died before the line above could tell the kernel
  int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  bool ok = null >= 0 && ::dup2(null, 0) >= 0 && ::dup2(child.out, 1) >= 0 && ::dup2(child.err, 2) >= 0;
  if (ok && child.processors != nullptr) ok = ::sched_setaffinity(0, sizeof(cpu_set_t), child.processors) == 0;
  if (ok) {
    child.signals->restore_in_child();
    ::execvpe(child.path, child.arguments, child.environment);  // the path has a slash: nothing is looked up
  }
  int error = errno;
  [[maybe_unused]] auto written = ::write(child.report, &error, sizeof error);
  ::_exit(127);
}

/// Waits until the program runs (the report pipe closes on exec) or has said why not.
int await_exec(int report) {
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(report, &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  return count == sizeof error ? error : 0;
}

}  // namespace

Child start_child(const ChildProgram& program, const SignalWatch& signals) {
  Pipe out = Pipe::create();
  Pipe err = Pipe::create();
  Pipe report = Pipe::create();

  std::string path = program.path.find('/') == std::string::npos ? "./" + program.path : program.path;
  std::vector<std::string> command = program.command;
  std::vector<std::string> entries = program.environment.entries();
  std::vector<char*> arguments = pointers(command);
  std::vector<char*> environment = pointers(entries);
  cpu_set_t processors;
  CPU_ZERO(&processors);
  if (program.processor) CPU_SET(static_cast<unsigned>(*program.processor), &processors);

  Prepared prepared{path.c_str(),      arguments.data(), environment.data(), program.processor ? &processors : nullptr,
                    &signals,          ::getpid(),       out.write.get(),    err.write.get(),
                    report.write.get()};
  pid_t process = ::fork();
  if (process < 0) fail_system("fork", errno);
  if (process == 0) child_main(prepared);
  ::setpgid(process, process);  // both sides: whoever comes first
  report.write.close();
  Child child{process, std::move(out.read), std::move(err.read), await_exec(report.read.get())};
  if (child.exec_error != 0) {
    while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  return child;
}

}  // namespace trireme::cli
