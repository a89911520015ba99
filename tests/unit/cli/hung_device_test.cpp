// SPDX-License-Identifier: Apache-2.0
// A job whose device hangs ends all the same.
#include "cli/train/hung_device.hpp"

#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

using namespace trireme;
using namespace trireme::cli;

namespace {

/// As memory of a device on which a kernel never ends.
struct NeverGivenBack {
  bool hangs;
  ~NeverGivenBack() {
    while (hangs) ::pause();
  }
};

int fails() { fail(ErrorCode::timeout, "the ranks wait for each other"); }

}  // namespace

TEST_CASE("where the device hangs, the process says all it has to say and ends without giving anything back") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    const NeverGivenBack memory{true};
    outlive_device(fails, {.device_hangs = [] { return true; },
                           .say =
                               [&](const Error& error) {
                                 const std::string text = "kept: " + error.message;
                                 return ::write(ends[1], text.data(), text.size()) > 0 ? 7 : 8;
                               }});
  }
  ::close(ends[1]);
  std::array<char, 200> heard{};
  REQUIRE(::read(ends[0], heard.data(), heard.size() - 1) > 0);
  ::close(ends[0]);
  CHECK(std::string(heard.data()) == "kept: the ranks wait for each other");
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}

TEST_CASE("where it does not, a failure goes its usual way, and a result too") {
  const LastWords silent{.device_hangs = [] { return false; },
                         .say =
                             [](const Error&) {
                               FAIL("nothing is to be said here");
                               return 0;
                             }};
  CHECK(testing::code_of([&] { outlive_device(fails, silent); }) == ErrorCode::timeout);
  CHECK(outlive_device([] { return 5; }, silent) == 5);
  const LastWords hanging{.device_hangs = [] { return true; }, .say = silent.say};
  CHECK(outlive_device([] { return 6; }, hanging) == 6);
}
