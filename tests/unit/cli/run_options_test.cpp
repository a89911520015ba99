// SPDX-License-Identifier: Apache-2.0
#include "cli/run/options.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

using trireme::ErrorCode;
using trireme::cli::parse_run_options;
using trireme::cli::RunOptions;
using Words = std::vector<std::string>;

namespace {

RunOptions parsed(const Words& words) { return parse_run_options(words).value(); }

std::string failure(const Words& words, ErrorCode code = ErrorCode::invalid_argument) {
  try {
    parse_run_options(words);
  } catch (const trireme::Exception& exception) {
    REQUIRE(exception.error().code == code);
    REQUIRE(exception.error().message.find('\n') == std::string::npos);
    return exception.error().message;
  }
  FAIL("nothing was refused");
  return {};
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("The program and its arguments are passed on untouched") {
  REQUIRE(parsed({"-n", "2", "--", "prog", "-n", "7", "--", "--help", ""}).command ==
          Words{"prog", "-n", "7", "--", "--help", ""});
  REQUIRE(parsed({"-n", "2", "prog", "--its-flag", "-n"}).command == Words{"prog", "--its-flag", "-n"});
  REQUIRE(parsed({"-n", "2", "prog", "a", "--", "b"}).command == Words{"prog", "a", "--", "b"});
}

TEST_CASE("Flags of trireme run are read") {
  auto options = parsed({"-n", "4", "--rendezvous", "[::1]:2000", "--bind", "core", "--log-dir", "d", "--failure-grace",
                         "2.5", "--max-restarts", "0", "--nnodes", "1:1", "--hosts", "localhost", "--", "p"});
  REQUIRE(options.ranks == 4);
  REQUIRE(options.rendezvous == trireme::net::Address{"::1", 2000});
  REQUIRE(options.bind_cores);
  REQUIRE(options.log_dir == "d");
  REQUIRE(options.failure_grace == std::chrono::milliseconds(2500));

  auto plain = parsed({"-n", "1", "--", "p"});
  REQUIRE(plain.rendezvous == trireme::net::Address{"127.0.0.1", 0});
  REQUIRE_FALSE(plain.bind_cores);
  REQUIRE_FALSE(plain.log_dir.has_value());
  REQUIRE_FALSE(plain.failure_grace.has_value());
  REQUIRE(plain.grace == std::chrono::seconds(120));
  REQUIRE(parsed({"-n", "1", "--grace", "2.5", "--", "p"}).grace == std::chrono::milliseconds(2500));
}

TEST_CASE("What does not fit is refused in one line that names it") {
  REQUIRE(failure({"-n", "0", "--", "p"}) == "-n must be at least 1, got 0");
  REQUIRE(failure({"-n", "-3", "--", "p"}) == "-n must be at least 1, got -3");
  REQUIRE_THAT(failure({"-n", "two", "--", "p"}), Contains("-n") && Contains("two"));
  REQUIRE_THAT(failure({"-n", "1.5", "--", "p"}), Contains("1.5"));
  REQUIRE_THAT(failure({"-n", "999999", "--", "p"}), Contains("at most"));
  REQUIRE_THAT(failure({"--", "p"}), Contains("-n"));
  REQUIRE_THAT(failure({"-n", "2"}), Contains("no program"));
  REQUIRE_THAT(failure({"-n", "2", "--"}), Contains("no program"));
  REQUIRE_THAT(failure({"-n", "2", "--", ""}), Contains("empty"));
  REQUIRE(failure({"-n", "2", "--bogus", "--", "p"}) == "unknown flag '--bogus'");
  REQUIRE(failure({"-n", "2", "--bogus", "1", "--", "p"}) == "unknown flag '--bogus'");
  REQUIRE_THAT(failure({"-n", "2", "--bind", "socket", "--", "p"}), Contains("--bind") && Contains("socket"));
  REQUIRE_THAT(failure({"-n", "2", "--rendezvous", "nowhere", "--", "p"}),
               Contains("--rendezvous") && Contains("nowhere"));
  REQUIRE_THAT(failure({"-n", "2", "--grace", "0", "--", "p"}), Contains("--grace"));
  REQUIRE_THAT(failure({"-n", "2", "--failure-grace", "-1", "--", "p"}), Contains("--failure-grace"));
  REQUIRE_THAT(failure({"-n", "2", "--grace", "nan", "--", "p"}), Contains("--grace"));
  REQUIRE_THAT(failure({"-n", "2", "--failure-grace", "nan", "--", "p"}), Contains("--failure-grace"));
  REQUIRE(failure({"-n", "2", "--stop-timeout", "9", "--", "p"}) == "unknown flag '--stop-timeout'");
  REQUIRE_THAT(failure({"-n", "2", "--log-dir", "", "--", "p"}), Contains("--log-dir"));
}

TEST_CASE("What comes later is refused as unsupported, not misread") {
  REQUIRE_THAT(failure({"-n", "2", "--max-restarts", "1", "--", "p"}, ErrorCode::unsupported),
               Contains("--max-restarts 1"));
  REQUIRE_THAT(failure({"-n", "2", "--nnodes", "1:4", "--", "p"}, ErrorCode::unsupported), Contains("come and go"));
  REQUIRE_THAT(failure({"-n", "2", "--hosts", "a,b", "--", "p"}, ErrorCode::unsupported), Contains("on every host"));
}

TEST_CASE("Several hosts need their number, this one's index and where node 0 is") {
  const auto options =
      parsed({"-n", "2", "--nnodes", "3", "--node-rank", "1", "--rendezvous", "algo-1:7777", "--", "p"});
  REQUIRE(options.nnodes == 3);
  REQUIRE(options.node_rank == 1);
  REQUIRE(options.rendezvous.to_string() == "algo-1:7777");
  REQUIRE(parsed({"-n", "2", "--evaluators", "2", "--", "p"}).evaluators == 2);
  const auto refused = ErrorCode::invalid_argument;
  REQUIRE_THAT(failure({"-n", "2", "--nnodes", "3", "--", "p"}, refused), Contains("--node-rank"));
  REQUIRE_THAT(failure({"-n", "2", "--nnodes", "3", "--node-rank", "3", "--", "p"}, refused),
               Contains("below --nnodes"));
  REQUIRE_THAT(failure({"-n", "2", "--nnodes", "3", "--node-rank", "0", "--", "p"}, refused), Contains("--rendezvous"));
  REQUIRE_THAT(failure({"-n", "2", "--nnodes", "3", "--node-rank", "0", "--rendezvous", "a:0", "--", "p"}, refused),
               Contains("--rendezvous"));
  REQUIRE_THAT(failure({"-n", "2", "--nnodes", "many", "--", "p"}, refused), Contains("--nnodes"));
}

TEST_CASE("Parameter servers are a number, and restarts are theirs") {
  const auto options = parse_run_options({"-n", "2", "--servers", "3", "--server-restarts", "1", "--", "p"}).value();
  REQUIRE(options.servers == 3);
  REQUIRE(options.server_restarts == 1);
  REQUIRE_FALSE(options.spans_hosts());
  REQUIRE_FALSE(options.tls);
  REQUIRE(parse_run_options({"-n", "2", "--servers", "1", "--tls", "--", "p"}).value().tls);
  REQUIRE(parse_run_options({"-n", "2", "--", "p"}).value().servers == 0);
  const auto refused = ErrorCode::invalid_argument;
  REQUIRE_THAT(failure({"-n", "2", "--servers", "-1", "--", "p"}, refused), Contains("--servers"));
  REQUIRE_THAT(failure({"-n", "2", "--servers", "1025", "--", "p"}, refused), Contains("--servers"));
  REQUIRE_THAT(failure({"-n", "2", "--server-restarts", "1", "--", "p"}, refused), Contains("give --servers"));
}
