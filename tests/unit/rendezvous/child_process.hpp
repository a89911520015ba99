// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <catch2/catch.hpp>

#include <csignal>
#include <cstdint>
#include <functional>
#include <utility>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trireme::rendezvous::testing {

/// A forked process with a pipe each way; killed at the end at the latest. To be made while this process has one thread:
/// what it needs to know comes later, as numbers.
class ChildProcess {
 public:
  /// In the child.
  struct Ends {
    int in = -1, out = -1;
    std::uint16_t hear() const {
      std::uint16_t number = 0;
      if (::read(in, &number, sizeof number) != static_cast<ssize_t>(sizeof number)) ::_exit(3);
      return number;
    }
    void tell(std::uint16_t number) const {
      if (::write(out, &number, sizeof number) != static_cast<ssize_t>(sizeof number)) ::_exit(4);
    }
  };

  explicit ChildProcess(const std::function<void(const Ends&)>& body) {
    int down[2], up[2];
    REQUIRE(::pipe(down) == 0);
    REQUIRE(::pipe(up) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(down[1]);
      ::close(up[0]);
      try {
        body({down[0], up[1]});
      } catch (...) {
        ::_exit(5);
      }
      ::_exit(0);
    }
    ::close(down[0]);
    ::close(up[1]);
    ends_ = {up[0], down[1]};
  }
  ChildProcess(const ChildProcess&) = delete;
  ~ChildProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(ends_.in);
    ::close(ends_.out);
  }

  void tell(std::uint16_t number) const {
    REQUIRE(::write(ends_.out, &number, sizeof number) == static_cast<ssize_t>(sizeof number));
  }
  std::uint16_t hear() const {
    std::uint16_t number = 0;
    REQUIRE(::read(ends_.in, &number, sizeof number) == static_cast<ssize_t>(sizeof number));
    return number;
  }
  void stop() const {
    int status = 0;
    REQUIRE(::kill(pid_, SIGSTOP) == 0);
    REQUIRE(::waitpid(pid_, &status, WUNTRACED) == pid_);
    REQUIRE(WIFSTOPPED(status));
  }
  void kill() {
    REQUIRE(::kill(pid_, SIGKILL) == 0);
    await_end();
  }
  void await_end() { REQUIRE(::waitpid(std::exchange(pid_, -1), nullptr, 0) > 0); }

 private:
  pid_t pid_ = -1;
  Ends ends_;
};

}  // namespace trireme::rendezvous::testing
