// SPDX-License-Identifier: Apache-2.0
#include "cli/train/server_split.hpp"

#include "trireme/ps/split.hpp"
#include "trireme/rendezvous/server.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace trireme;
using namespace trireme::cli;

namespace {

constexpr Bytes model{32'000'000};

std::vector<double> links(std::size_t count, double bytes_per_second = 25e6) {
  return std::vector<double>(count, bytes_per_second);
}

}  // namespace

TEST_CASE("Over equal links workers and dedicated servers hold what the optimal split says, servers first") {
  const ServerSplit split = split_over(links(4), links(2), model);
  const auto optimum = ps::OptimalSplit::of(4, 2);
  CHECK(split.serving == std::vector<std::uint32_t>{0, 1, 2, 3});
  REQUIRE(split.shares.size() == 6);
  for (std::size_t s = 0; s < 6; ++s)
    CHECK(split.shares[s] == Approx(s < 2 ? optimum.share_of_spare : optimum.share_of_worker));
}

TEST_CASE("Workers hold nothing where there are servers enough, and one worker alone all") {
  const ServerSplit enough = split_over(links(4), links(4), model);
  CHECK(enough.serving.empty());
  CHECK(enough.shares == std::vector<double>(4, 0.25));
  const ServerSplit alone = split_over(links(1), links(2), model);
  CHECK(alone.serving == std::vector<std::uint32_t>{0});
  CHECK(alone.shares.size() == 3);
  CHECK(alone.shares[2] == 1.0);
  for (const double share : alone.shares) CHECK(share > 0);  // as a plan of keys wants it
}

TEST_CASE("A worker behind a slow link holds less than the others") {
  std::vector<double> workers = links(4);
  workers[2] /= 2;
  const ServerSplit split = split_over(workers, links(1), model);
  double of_slow = 0, of_fast = 0;
  for (std::size_t i = 0; i < split.serving.size(); ++i)
    (split.serving[i] == 2 ? of_slow : of_fast) = split.shares[1 + i];
  CHECK(of_slow < of_fast);
}

TEST_CASE("A server's probe is reached as the job's servers are: where the transport is TCP, by no local socket") {
  const std::string key = "sixteen characters and more";
  const auto store = rendezvous::Server::start({.key = net::JobKey::from_text(key), .job_id = "job"});
  std::uint32_t number = 0;
  for (const std::string transport : {"auto", "tcp"}) {
    const platform::Environment environment({{"TRIREME_ROLE", "server"},
                                             {"TRIREME_SERVERS", "1"},
                                             {"TRIREME_SERVER_INDEX", "0"},
                                             {"TRIREME_STORE", "1"},
                                             {"TRIREME_STORE_ADDR", store->address().to_string()},
                                             {"TRIREME_JOB_KEY", key},
                                             {"TRIREME_JOB_ID", "job"},
                                             {"TRIREME_TRANSPORT", transport},
                                             {"TRIREME_LOG", "off"}});
    const auto directory = ServerDirectory::open({}, environment, ServerDirectory::Opened::by_server);
    const auto probe = offer_probe(*directory, number);
    const auto card = ps::ServerCard::parse(
        directory->heard("probe/" + std::to_string(number++), Deadline::after(std::chrono::seconds(20))));
    CHECK(card.incarnation == probe->card().incarnation);
    CHECK(card.local.empty() == (transport == "tcp"));
  }
}
