// SPDX-License-Identifier: Apache-2.0
#include "pair.hpp"
#include "support/deaf_socket.hpp"
#include "support/failures.hpp"
#include "trireme/net/socket.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <future>
#include <thread>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;
using namespace trireme::net::testing;

TEST_CASE("an address that swallows packets keeps nobody from one that answers") {
  const Socket deaf = listen_tcp({"127.0.0.1", 0});
  make_deaf(deaf.descriptor());
  const Socket good = listen_tcp({"127.0.0.1", 0});
  const std::array<Address, 2> candidates{local_address(deaf), local_address(good)};
  const auto result = race_tcp(candidates, soon());
  REQUIRE(result.socket.is_open());
  REQUIRE(result.winner == 1);
  REQUIRE(result.attempts == 2);  // the first is still waiting for its answer when the second has won
  REQUIRE(accept(good, soon()));
}

TEST_CASE("of several addresses that answer the preferred one is taken, and the others see no connection") {
  const Socket first = listen_tcp({"127.0.0.1", 0}), second = listen_tcp({"127.0.0.1", 0});
  const std::array<Address, 2> candidates{local_address(first), local_address(second)};
  const auto result = race_tcp(candidates, soon());
  REQUIRE(result.winner == 0);
  REQUIRE(result.attempts == 1);
  REQUIRE(accept(first, soon()));
  REQUIRE(!accept(second, Deadline::after(std::chrono::milliseconds(0))));
}

TEST_CASE("a refused address is tried again until somebody listens there") {
  const auto address = local_address(listen_tcp({"127.0.0.1", 0}));  // closed again at once
  auto racing = std::async(std::launch::async, [&] {
    const std::array<Address, 1> candidates{address};
    return race_tcp(candidates, soon()).attempts;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  const Socket late = listen_tcp(address);
  REQUIRE(racing.get() > 1);
}

TEST_CASE("an address that swallowed the first packets is asked anew, sooner than the kernel would") {
  const Socket deaf = listen_tcp({"127.0.0.1", 0});
  make_deaf(deaf.descriptor());
  auto racing = std::async(std::launch::async, [&] {
    const std::array<Address, 1> candidates{local_address(deaf)};
    return race_tcp(candidates, Deadline::after(std::chrono::seconds(60))).attempts;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));  // the kernel's own second request is lost too
  make_hear_again(deaf.descriptor());
  REQUIRE(racing.get() == 2);
}

TEST_CASE("at the deadline every address is named with its reason") {
  const Socket deaf = listen_tcp({"127.0.0.1", 0});
  make_deaf(deaf.descriptor());
  const auto nobody = local_address(listen_tcp({"127.0.0.1", 0}));
  const std::array<Address, 2> candidates{local_address(deaf), nobody};
  const auto error = error_of([&] { race_tcp(candidates, Deadline::after(std::chrono::milliseconds(200))); });
  REQUIRE(error.code == ErrorCode::timeout);
  REQUIRE(has(error.message, candidates[0].to_string() + " (no answer)"));
  REQUIRE(has(error.message, nobody.to_string() + " (Connection refused)"));
  REQUIRE(code_of([&] { race_tcp({}, soon()); }) == ErrorCode::invalid_argument);
}
