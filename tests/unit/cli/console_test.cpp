// SPDX-License-Identifier: Apache-2.0
#include "cli/run/console.hpp"

#include "cli/run/descriptor.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

using trireme::cli::Console;
using trireme::cli::Descriptor;
using trireme::cli::Pipe;
using trireme::cli::Stream;

namespace {

/// A pseudo terminal that passes bytes unchanged: what is written to `screen` can be read from `control`.
struct Terminal {
  Descriptor control{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
  Descriptor screen;
  Terminal() {
    REQUIRE(control.is_open());
    REQUIRE(::grantpt(control.get()) == 0);
    REQUIRE(::unlockpt(control.get()) == 0);
    char name[64];
    REQUIRE(::ptsname_r(control.get(), name, sizeof name) == 0);
    screen = Descriptor(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(screen.is_open());
    termios settings{};
    REQUIRE(::tcgetattr(screen.get(), &settings) == 0);
    ::cfmakeraw(&settings);
    REQUIRE(::tcsetattr(screen.get(), TCSANOW, &settings) == 0);
  }
};

/// Everything written so far: a terminal hands it over in pieces, each a little after it was written.
std::string read_from(int descriptor) {
  std::string text;
  for (pollfd polled{descriptor, POLLIN, 0}; ::poll(&polled, 1, 200) > 0;) {
    char buffer[4096];
    const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count <= 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

}  // namespace

TEST_CASE("On a terminal a progress line is cleared before an ordinary one") {
  Terminal terminal;
  Pipe out = Pipe::create();
  Console console(out.write.get(), terminal.screen.get());
  REQUIRE(console.terminal(Stream::err));
  REQUIRE_FALSE(console.terminal(Stream::out));
  console.show(Stream::err, {true, "step 1\r"});
  console.show(Stream::err, {true, "step 2\r"});
  console.show(Stream::err, {false, "[1] hello\n"});
  console.show(Stream::err, {false, "[1] again\n"});
  console.flush();
  REQUIRE(read_from(terminal.control.get()) == "step 1\rstep 2\r\r\033[K[1] hello\n[1] again\n");
}

TEST_CASE("A progress line that was ended is not cleared") {
  Terminal terminal;
  Console console(terminal.screen.get(), terminal.screen.get());
  console.show(Stream::err, {true, "done\r"});
  console.show(Stream::err, {true, "\n"});
  console.show(Stream::out, {false, "result: x\n"});
  console.flush();
  // Two streams of one terminal: each is flushed by itself.
  std::string shown = read_from(terminal.control.get());
  REQUIRE(shown.find("done\r\n") != std::string::npos);
  REQUIRE(shown.find("result: x\n") != std::string::npos);
  REQUIRE(shown.find("\033[K") == std::string::npos);
}

TEST_CASE("What goes to a pipe is never cleared") {
  Terminal terminal;
  Pipe out = Pipe::create();
  Console console(out.write.get(), terminal.screen.get());
  console.show(Stream::err, {true, "step 1\r"});
  console.show(Stream::out, {false, "metric step=1\n"});
  console.flush();
  REQUIRE(read_from(out.read.get()) == "metric step=1\n");
  REQUIRE(read_from(terminal.control.get()) == "step 1\r");
}
