// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <set>
#include <string>

using namespace trireme;

TEST_CASE("an error's text tells what it knows and nothing else") {
  REQUIRE(to_string(Error{.code = ErrorCode::timeout, .message = "rank 2 is slow"}) == "timeout: rank 2 is slow");
  const Error full{.code = ErrorCode::peer_lost,
                   .message = "rank 2 on host-b is gone",
                   .operation = "all_reduce #17",
                   .label = "bucket 0",
                   .rank = 0,
                   .peer_rank = 2,
                   .peer_host = "host-b",
                   .elapsed = std::chrono::milliseconds(310)};
  REQUIRE(to_string(full) ==
          "peer_lost: rank 2 on host-b is gone [all_reduce #17 'bucket 0', own rank 0, after 0.31 s]");
  REQUIRE(to_string(Error{.code = ErrorCode::closed, .message = "m", .operation = "barrier #3"}) ==
          "closed: m [barrier #3]");
  REQUIRE(to_string(Error{.code = ErrorCode::closed, .message = "m", .rank = 5}) == "closed: m [own rank 5]");
}

TEST_CASE("a label without an operation is not shown as one") {
  REQUIRE(to_string(Error{.code = ErrorCode::closed, .message = "m", .label = "w"}) == "closed: m");
}

TEST_CASE("error codes have names of their own and keep their numbers") {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::corrupt); ++code) {
    REQUIRE(names.insert(std::string(name_of(static_cast<ErrorCode>(code)))).second);
  }
  REQUIRE(names.count("?") == 0);
  REQUIRE(name_of(static_cast<ErrorCode>(200)) == "?");  // from the wire
  REQUIRE(static_cast<int>(ErrorCode::invalid_argument) == 1);
  REQUIRE(static_cast<int>(ErrorCode::mismatch) == 2);
  REQUIRE(static_cast<int>(ErrorCode::timeout) == 3);
  REQUIRE(static_cast<int>(ErrorCode::peer_lost) == 4);
  REQUIRE(static_cast<int>(ErrorCode::closed) == 5);
  REQUIRE(static_cast<int>(ErrorCode::unsupported) == 6);
  REQUIRE(static_cast<int>(ErrorCode::device) == 7);
  REQUIRE(static_cast<int>(ErrorCode::system) == 8);
  REQUIRE(static_cast<int>(ErrorCode::corrupt) == 9);
}

TEST_CASE("an Exception carries its error and says it") {
  try {
    fail(ErrorCode::invalid_argument, "root 9 is not a rank");
    FAIL("did not throw");
  } catch (const std::exception& caught) {
    REQUIRE(std::string(caught.what()) == "invalid_argument: root 9 is not a rank");
    REQUIRE(dynamic_cast<const Exception&>(caught).error().code == ErrorCode::invalid_argument);
  }
}

TEST_CASE("a failed system call is told in the system's words") {
  try {
    fail_system("opening 'x'", ENOENT);
    FAIL("did not throw");
  } catch (const Exception& caught) {
    REQUIRE(caught.error().code == ErrorCode::system);
    REQUIRE(caught.error().message == "opening 'x': No such file or directory");
  }
}

TEST_CASE("only an error with a code is one") {
  REQUIRE(!Error{});
  REQUIRE(Error{.code = ErrorCode::device, .message = ""});
}
