// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "trireme/net/socket.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::net;
using trireme::testing::error_of;
using trireme::testing::has;

TEST_CASE("An address is read as host and port") {
  struct Case {
    std::string text;
    Address address;
  };
  auto [text, address] = GENERATE(values<Case>({
      {"host-1.example:29500", {"host-1.example", 29500}},
      {"10.0.0.1:1", {"10.0.0.1", 1}},
      {"[::1]:29500", {"::1", 29500}},
      {"[fe80::1%eth0]:65535", {"fe80::1%eth0", 65535}},
      {"host:0", {"host", 0}},
      {":29500", {"", 29500}},
  }));
  CAPTURE(text);
  CHECK(Address::parse(text) == address);
  CHECK(address.to_string() == text);
}

TEST_CASE("A bad address is refused by name with the reason") {
  struct Case {
    std::string text;
    std::string reason;
  };
  auto [text, reason] = GENERATE(values<Case>({
      {"", "no port"},
      {"host", "no port"},
      {"host:", "no port"},
      {"[::1]", "no port"},
      {"[::1]:", "no port"},
      {"host:65536", "bad port"},
      {"host:99999999999999999999", "bad port"},
      {"host:-1", "bad port"},
      {"host:+1", "bad port"},
      {"host:1x", "bad port"},
      {"host:0x10", "bad port"},
      {"[::1:29500", "unclosed bracket"},
      {"[", "unclosed bracket"},
      {"[]:1", "no IPv6 address"},
      {"[host]:1", "no IPv6 address"},
      {"[::1]x:1", "behind its bracket"},
      {"::1:29500", "more than one ':'"},
      {"::1", "more than one ':'"},
      {"ho]st:1", "bracket inside"},
      {"host :1", "white space"},
      {"host:1\n", "white space"},
      {"http://host:1", "more than one ':'"},
  }));
  CAPTURE(text, reason);
  Error error = error_of([&text = text] { Address::parse(text); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, reason));
  CHECK(error.message.find('\n') == std::string::npos);
  if (text != "host:1\n") CHECK(has(error.message, "'" + text + "'"));
}
