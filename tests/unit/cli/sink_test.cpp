// SPDX-License-Identifier: Apache-2.0
#include "cli/run/sink.hpp"

#include "cli/run/descriptor.hpp"

#include <catch2/catch.hpp>

#include <csignal>

using trireme::cli::Pipe;
using trireme::cli::Sink;

TEST_CASE("A sink never blocks on a reader who does not read, and loses nothing when he does") {
  Pipe pipe = Pipe::create();
  Sink sink(pipe.write.get());
  std::string text;
  for (int line = 0; text.size() < (3u << 20); ++line) text += "line " + std::to_string(line) + "\n";
  sink.append(text);
  sink.flush();  // the pipe holds less than that: a blocking write would stay here for ever
  REQUIRE(sink.pending());
  REQUIRE(sink.congested());

  std::string arrived;
  char buffer[65536];
  while (arrived.size() < text.size()) {
    ssize_t count = ::read(pipe.read.get(), buffer, sizeof buffer);
    REQUIRE(count > 0);
    arrived.append(buffer, static_cast<std::size_t>(count));
    sink.flush();
  }
  REQUIRE(arrived == text);
  REQUIRE_FALSE(sink.pending());
  REQUIRE_FALSE(sink.congested());
}

TEST_CASE("A sink whose reader is gone says so and holds nothing") {
  auto* former = ::signal(SIGPIPE, SIG_IGN);
  Pipe pipe = Pipe::create();
  Sink sink(pipe.write.get());
  pipe.read.close();
  sink.append("text\n");
  REQUIRE_FALSE(sink.reader_gone());
  sink.flush();
  REQUIRE(sink.reader_gone());
  REQUIRE_FALSE(sink.pending());
  sink.append("more\n");
  REQUIRE_FALSE(sink.pending());
  ::signal(SIGPIPE, former);
}
