// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/server_directory.hpp"

#include "support/failures.hpp"
#include "support/relay.hpp"
#include "trireme/base/error.hpp"
#include "trireme/rendezvous/server.hpp"
#include "trireme/rendezvous/store.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

using namespace trireme;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

class Job {
 public:
  std::shared_ptr<ServerDirectory> member() const {
    return ServerDirectory::over(store_.handle(), net::JobKey::derived("test"), "job");
  }

 private:
  rendezvous::InProcessStore store_;
};

ps::ServerCard card(std::uint32_t server, std::uint64_t incarnation) {
  return {.server = server, .incarnation = incarnation, .host = "h", .addresses = {{"127.0.0.1", 4711}}, .local = ""};
}

}  // namespace

TEST_CASE("Whoever asks for servers waits until all have made themselves known") {
  const Job job;
  const auto worker = job.member();
  job.member()->publish(card(1, 11));
  REQUIRE(worker->current(2).size() == 1);
  std::vector<ps::ServerCard> cards;
  std::thread asks([&] { cards = worker->await(2, Deadline::after(60s)); });
  job.member()->publish(card(0, 10));
  asks.join();
  REQUIRE(cards.size() == 2);
  REQUIRE(cards[0].incarnation == 10);
  REQUIRE(cards[1].incarnation == 11);
}

TEST_CASE("A server that starts again has another card, which is the one that counts") {
  const Job job;
  const auto worker = job.member();
  job.member()->publish(card(0, 1));
  REQUIRE(worker->await(1, Deadline::after(60s))[0].incarnation == 1);
  job.member()->publish(card(0, 2));
  REQUIRE(worker->current(1)[0].incarnation == 2);
  REQUIRE(job.member()->current(1)[0].incarnation == 2);
}

TEST_CASE("A server that has ended for good has no card any more, until another life of it has") {
  rendezvous::InProcessStore contents;
  const auto store = contents.handle();
  const auto directory = ServerDirectory::over(contents.handle(), net::JobKey::derived("test"), "job");
  directory->publish(card(0, 1));
  directory->publish(card(1, 2));
  REQUIRE(directory->current(2).size() == 2);
  for (int times = 0; times < 2; ++times) note_gone_server(*store, 0);
  REQUIRE(directory->current(2).size() == 1);
  REQUIRE(directory->current(2)[0].server == 1);
  directory->publish(card(0, 3));
  REQUIRE(directory->await(2, Deadline::after(60s))[0].incarnation == 3);
}

TEST_CASE("Servers that do not come are named when the time is over") {
  const Job job;
  job.member()->publish(card(1, 1));
  try {
    job.member()->await(4, Deadline::after(20ms));
    FAIL("it waited for servers that are not there");
  } catch (const Exception& caught) {
    REQUIRE(caught.error().code == ErrorCode::timeout);
    REQUIRE_THAT(caught.error().message, Contains("1 of 4 parameter servers") && Contains("missing: servers 0, 2, 3"));
  }
}

TEST_CASE("What is said of a job, all of its processes hear") {
  const Job job;
  const auto one = job.member(), other = job.member();
  for (const JobFact fact : {JobFact::replicated_servers, JobFact::independent_workers, JobFact::servers_have_values,
                             JobFact::workers_stop}) {
    REQUIRE_FALSE(other->is_declared(fact));
    one->declare(fact);
    REQUIRE(other->is_declared(fact));
  }
  REQUIRE(one->first_said("settings", "a") == "a");
  REQUIRE(other->first_said("settings", "b") == "a");
  REQUIRE(one->first_said("settings", "a") == "a");
  one->publish(JobShape{.workers = 3, .leaves = 8});
  REQUIRE(other->await_shape(Deadline::after(60s)).workers == 3);
  REQUIRE(other->await_shape(Deadline::after(60s)).leaves == 8);
  one->worker_ended(0);
  other->worker_ended(2);
  REQUIRE(one->workers_ended(3) == 2);
  other->worker_ended(0);  // as a launcher says of one that ended behind its last word
  REQUIRE(one->workers_ended(3) == 2);
  REQUIRE(one->workers_ended(2) == 1);
  one->server_ended();
  REQUIRE(other->servers_ended() == 1);
  REQUIRE(one->is_open());
}

TEST_CASE("A server without the way to its job's store is refused with what to set") {
  const platform::Environment environment(
      {{"TRIREME_ROLE", "server"}, {"TRIREME_SERVERS", "1"}, {"TRIREME_LOG", "off"}});
  REQUIRE_THROWS_WITH(ServerDirectory::open({}, environment, ServerDirectory::Opened::by_server),
                      Contains("TRIREME_STORE_ADDR"));
}

namespace {

/// What a server is started with whose job's store is there.
platform::Environment environment_of_server(const net::Address& store, const std::string& key) {
  return platform::Environment({{"TRIREME_ROLE", "server"},
                                {"TRIREME_SERVERS", "1"},
                                {"TRIREME_SERVER_INDEX", "0"},
                                {"TRIREME_STORE", "1"},
                                {"TRIREME_STORE_ADDR", store.to_string()},
                                {"TRIREME_JOB_KEY", key},
                                {"TRIREME_JOB_ID", "job"},
                                {"TRIREME_LOG", "off"}});
}

}  // namespace

TEST_CASE("What others are told of a server has no local socket where the transport is TCP") {
  const std::string key = "sixteen characters and more";
  const auto store = rendezvous::Server::start({.key = net::JobKey::from_text(key), .job_id = "job"});
  ps::ServerCard own = card(0, 1);
  own.local = "a socket of this host";
  for (const std::string transport : {"auto", "tcp"}) {
    Options options;
    options.transport = transport;
    const auto directory = ServerDirectory::open(options, environment_of_server(store->address(), key),
                                                 ServerDirectory::Opened::by_server);
    const std::string expected = transport == "tcp" ? "" : own.local;
    REQUIRE(directory->told(own).local == expected);
    directory->publish(own);
    REQUIRE(directory->current(1).at(0).local == expected);
  }
}

TEST_CASE("A directory whose connection to the job's store broke asks it again by another") {
  const std::string key = "sixteen characters and more";
  const auto store = rendezvous::Server::start({.key = net::JobKey::from_text(key), .job_id = "job"});
  testing::Relay relay(store->address(), std::nullopt, testing::Relay::Side::to_server);
  const auto directory =
      ServerDirectory::open({}, environment_of_server(relay.address(), key), ServerDirectory::Opened::by_server);
  REQUIRE(directory->first_said("settings", "a") == "a");
  relay.block(true);
  const Deadline limit = Deadline::after(60s);
  while (directory->is_open() && !limit.passed()) std::this_thread::sleep_for(2ms);
  REQUIRE_FALSE(directory->is_open());
  relay.block(false);
  while (!directory->is_open() && !limit.passed()) std::this_thread::sleep_for(2ms);
  REQUIRE(directory->first_said("settings", "b") == "a");
}
