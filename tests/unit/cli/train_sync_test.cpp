// SPDX-License-Identifier: Apache-2.0
#include "cli/train/options.hpp"
#include "cli/train/parameter_server.hpp"
#include "cli/train/setup.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;

namespace {

/// In a job that was started with so many servers.
TrainOptions parsed(const Words& words, int servers = 0) {
  platform::ClusterSpec cluster;
  cluster.servers = servers;
  return parse_train_options(words, cluster).value();
}

std::string refusal(const Words& words, int servers = 0) {
  try {
    parsed(words, servers);
  } catch (const Exception& caught) {
    CHECK(caught.error().message.find('\n') == std::string::npos);
    CHECK((caught.error().code == ErrorCode::invalid_argument || caught.error().code == ErrorCode::unsupported));
    return caught.error().message;
  }
  return "";
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words on_servers{"--sync", "ps"};
const Words async{"--sync", "ps", "--consistency", "async"};

}  // namespace

TEST_CASE("Gradients come together among the ranks unless servers are asked for") {
  CHECK_FALSE(parsed({}).sync.on_servers);
  const SyncChoice beside = parsed(on_servers).sync;
  CHECK(beside.on_servers);
  CHECK(beside.servers == 0);
  CHECK(beside.consistency == ps::Consistency{});
  CHECK_FALSE(beside.server_optimizer);  // servers sum: the bits of all_reduce need nothing else
  CHECK_FALSE(beside.is_independent());
  CHECK_FALSE(beside.replicas);
}

TEST_CASE("Dedicated servers are those the job was started with, said or not") {
  CHECK(parsed(on_servers, 2).sync.servers == 2);
  CHECK(parsed(with(on_servers, {"--servers", "2"}), 2).sync.servers == 2);
  CHECK_THAT(refusal(with(on_servers, {"--servers", "2"})), Contains("--servers 2") && Contains("started with none"));
  CHECK_THAT(refusal(with(on_servers, {"--servers", "2"}), 3), Contains("started with 3"));
  CHECK_THAT(refusal(with(on_servers, {"--servers", "0"}), 3), Contains("--servers 0") && Contains("started with 3"));
  CHECK_THAT(refusal({}, 1), Contains("TRIREME_SERVERS") && Contains("--sync ps"));
}

TEST_CASE("Another server holds what each does, wherever a loss can be outlived") {
  CHECK_FALSE(parsed(on_servers, 1).sync.replicas);
  CHECK(parsed(on_servers, 2).sync.replicas);
  CHECK(parsed(async).sync.replicas);  // a worker that goes takes its server with it
  CHECK_FALSE(parsed(with(async, {"--server-replicas", "off"}), 2).sync.replicas);
  CHECK_THAT(refusal(with(on_servers, {"--server-replicas", "on"}), 1), Contains("two servers"));
  CHECK_THAT(refusal(with(on_servers, {"--server-replicas", "on"})),
             Contains("--server-replicas on") && Contains("--backup-workers"));
}

TEST_CASE("Servers update values where workers do not wait for one another, and may where they do") {
  CHECK(parsed(async).sync.server_optimizer);
  CHECK(parsed(async).sync.is_independent());
  CHECK(parsed({"--sync", "ps", "--consistency", "ssp:3"}).sync.consistency.staleness == 3);
  CHECK_FALSE(parsed({"--sync", "ps", "--consistency", "ssp:0"}).sync.is_independent());  // nothing is stale: bsp
  CHECK(parsed(with(on_servers, {"--server-optimizer", "on"})).sync.server_optimizer);
  CHECK_THAT(refusal(with(async, {"--server-optimizer", "off"})), Contains("--server-optimizer off is for"));
}

TEST_CASE("Workers that are not all waited for share no communicator, and servers update for them") {
  const TrainOptions options = parsed(with(on_servers, {"--backup-workers", "1"}), 2);
  CHECK(options.sync.is_bulk_synchronous());
  CHECK(options.sync.is_independent());
  CHECK(options.sync.server_optimizer);
  CHECK(options.sync.replicas);
}

TEST_CASE("Workers hold keys beside dedicated servers where that is asked for, without replicas") {
  CHECK_FALSE(parsed(on_servers, 2).sync.splits_optimally);
  const SyncChoice sync = parsed(with(on_servers, {"--server-split", "optimal"}), 2).sync;
  CHECK(sync.splits_optimally);
  CHECK_FALSE(sync.replicas);
  CHECK_THAT(refusal(with(on_servers, {"--server-split", "optimal"})), Contains("is for dedicated servers"));
  CHECK_THAT(refusal(with(async, {"--server-split", "optimal"}), 2),
             Contains("--server-split optimal is for --consistency bsp"));
  CHECK_THAT(refusal(with(on_servers, {"--server-split", "optimal", "--server-replicas", "on"}), 2),
             Contains("--server-replicas on does not go with"));
}

TEST_CASE("A laboratory's slow steps are multiples of a time that is given") {
  const TrainOptions options = parsed({"--lab-computation-ms", "2.5", "--lab-stragglers", "each:0.1", "--seed", "7"});
  CHECK(options.straggling.computation == std::chrono::microseconds(2500));
  CHECK(options.straggling.who == testing::Stragglers::each);
  CHECK(options.straggling.seed == 7);
  CHECK(parsed({}).straggling.computation.count() == 0);
  CHECK_THAT(refusal({"--lab-stragglers", "each:0.1"}), Contains("--lab-stragglers needs --lab-computation-ms"));
  CHECK_THAT(refusal({"--lab-computation-ms", "2", "--lab-stragglers", "some"}), Contains("--lab-stragglers: "));
  CHECK_THROWS_WITH(straggling_among(testing::parse_stragglers("worker:4"), 4),
                    Contains("--lab-stragglers: ") && Contains("no worker 4 among 4"));
}

TEST_CASE("What servers cannot do is refused in one line that names the flag") {
  const std::vector<std::pair<Words, std::string>> cases{
      {{"--servers", "2"}, "--servers needs --sync ps"},
      {{"--consistency", "async"}, "--consistency needs --sync ps"},
      {{"--backup-workers", "1"}, "--backup-workers needs --sync ps"},
      {{"--server-optimizer", "on"}, "--server-optimizer needs --sync ps"},
      {{"--staleness-aware"}, "--staleness-aware needs --sync ps"},
      {{"--sync", "ring"}, "--sync"},
      {with(on_servers, {"--consistency", "eventual"}), "--consistency: 'eventual'"},
      {with(on_servers, {"--consistency", "ssp:-1"}), "--consistency"},
      {with(on_servers, {"--staleness-aware"}), "--staleness-aware is for --consistency async, not bsp"},
      {with(async, {"--backup-workers", "1"}), "--backup-workers is for --consistency bsp"},
      {with(on_servers, {"--backup-workers", "1", "--server-optimizer", "off"}),
       "--server-optimizer off does not go with"},
      {with(on_servers, {"--backup-workers", "1", "--logical-shards", "4"}),
       "--logical-shards does not go with --backup-workers"},
      {{"--server-split", "optimal"}, "--server-split needs --sync ps"},
      {with(on_servers, {"--zero", "1"}), "--zero 1 does not go with --sync ps"},
      {with(on_servers, {"--device", "emulated"}), "--device emulated does not go with --sync ps"},
      {with(on_servers, {"--server-optimizer", "on", "--precision", "bf16"}), "--precision does not go with"},
      {with(async, {"--logical-shards", "4"}), "--logical-shards does not go with --consistency async"},
      {with(async, {"--accumulate", "2"}), "--accumulate does not go with --consistency async"},
      {with(async, {"--model", "resnet"}), "--model resnet does not go with --consistency async"},
      {with(async, {"--early-stop", "3"}), "--early-stop does not go with --consistency async"},
      {with(on_servers, {"--fallback", "ps"}), "--fallback ps is for --sync all_reduce"},
  };
  for (const auto& [words, expected] : cases) {
    CAPTURE(words);
    CHECK_THAT(refusal(words), Contains(expected));
  }
}

TEST_CASE("A server and its workers are told of the same rule by what decides about values, and nothing else") {
  const auto settings = [](const Words& more) { return server_settings(parsed(with(async, more))); };
  CHECK(settings({}) == settings({"--epochs", "7", "--data-dir", "/elsewhere", "--learning-rate", "3"}));
  std::set<std::string> all{server_settings(parsed(on_servers))};
  for (const Words& more : {Words{}, Words{"--momentum", "0.8"}, Words{"--optimizer", "adam"}, Words{"--nesterov"},
                            Words{"--weight-decay", "0.1"}, Words{"--l2-penalty", "0.1"}, Words{"--staleness-aware"}})
    CHECK(all.insert(settings(more)).second);
}

TEST_CASE("Independent workers share the samples out: every sample is one worker's, and batches are shares, too") {
  std::multiset<std::uint32_t> seen;
  for (std::uint32_t worker = 0; worker < 3; ++worker) {
    auto share = data::share_of(10, worker, 3);
    share.global_batch = 2;
    data::DistributedSampler sampler(share);
    for (std::uint64_t step = 0; step < sampler.steps_per_epoch(); ++step) {
      for (const std::uint32_t sample : sampler.batch(5, step)) {
        CHECK(sample % 3 == worker);
        seen.insert(sample);
      }
    }
  }
  CHECK(seen.size() == 10);
  CHECK(std::set<std::uint32_t>(seen.begin(), seen.end()).size() == 10);
  CHECK_THROWS_WITH(data::share_of(2, 2, 3), Contains("worker 2 of 3"));
}
