// SPDX-License-Identifier: Apache-2.0
#include "cli/run/program.hpp"

#include <catch2/catch.hpp>

using trireme::cli::find_program;
using trireme::platform::Environment;

TEST_CASE("Programs are found on PATH in its order") {
  REQUIRE(find_program("sh", Environment({{"PATH", "/nowhere:/bin:/usr/bin"}})).path == "/bin/sh");
  REQUIRE(find_program("sh", Environment({{"PATH", "/usr/bin:/bin"}})).path == "/usr/bin/sh");
  REQUIRE(find_program("sh", Environment()).exit_code == 0);
}

TEST_CASE("A name with a slash is taken as it is") {
  auto program = find_program("/bin/sh", Environment({{"PATH", ""}}));
  REQUIRE(program.path == "/bin/sh");
  REQUIRE(program.problem.empty());
}

TEST_CASE("What is not there is 127, what cannot be run is 126, as in a shell") {
  Environment environment({{"PATH", "/usr/bin:/bin"}});
  REQUIRE(find_program("no-such-program-here", environment).exit_code == 127);
  REQUIRE(find_program("no-such-program-here", environment).problem.find("no-such-program-here") != std::string::npos);
  REQUIRE(find_program("/no/such/program", environment).exit_code == 127);
  REQUIRE(find_program("/usr", environment).exit_code == 126);
  REQUIRE(find_program("/etc/passwd", environment).exit_code == 126);
  REQUIRE(find_program("passwd", Environment({{"PATH", "/etc"}})).exit_code == 126);
}

TEST_CASE("The program trireme is this binary where PATH has no other") {
  auto program = find_program("trireme", Environment({{"PATH", "/nowhere"}}));
  REQUIRE(program.exit_code == 0);
  REQUIRE(program.path.find("test_cli") != std::string::npos);
}
