// SPDX-License-Identifier: Apache-2.0
// A job that watches its own reductions: away from all-reduce, and back. Times are told, not measured, where a promise hangs on them.
#include "trireme/ps/fallback.hpp"

#include "served_ranks.hpp"
#include "trireme/base/error.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/parallel/field.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace trireme;
using namespace trireme::testing;

namespace {

ps::LinkSpeeds links_of(std::size_t ranks, double usual) {
  ps::LinkSpeeds links{.ranks = ranks, .bytes_per_second = std::vector<double>(ranks * ranks, usual)};
  for (std::size_t a = 0; a < ranks; ++a) links.bytes_per_second[a * ranks + a] = 0.0;
  return links;
}

struct Watched {
  std::string bytes;
  std::vector<std::pair<std::uint64_t, std::string>> changes{};  ///< behind which step, and why
  std::size_t links_seen = 0;
  std::uint64_t step = 0;
  std::vector<std::string> events{};  ///< of servers
  int predictions = 0;
  Bytes gradients{0};  ///< of which one was asked for
};

/// Trains 30 steps. `seconds`: what each step's reduction is said to take on a rank; null: nobody watches. `changed`: other options.
Watched train_watched(int ranks, const std::function<double(const Step&, int)>& seconds,
                      const std::function<void(ps::FallbackOptions&, Watched&)>& changed = {}) {
  const std::vector<std::size_t> counts{700, 5, 9000};
  const Field<float> names(counts);
  const ServedRanks served(names.parameters(), {.workers = static_cast<std::uint32_t>(ranks), .leaves = 8});
  Watched end;
  run_ranks(ranks, [&](World& world) {
    Field<float> model(counts);
    AdamW optimizer({.learning_rate = 0.02});
    DataParallel data_parallel(world.communicator(), model.parameters(), {.logical_shards = 8});
    Watched seen;
    const auto servers = ps::summing_synchronizer(served.synchronizer(world.rank()));
    ps::FallbackOptions options{.servers =
                                    [&](const ps::LinkSpeeds& links) {
                                      seen.links_seen = links.ranks;
                                      seen.events.push_back("asked");
                                      const std::shared_ptr<void> held(nullptr, [&seen](void*) {
                                        seen.events.push_back("let go behind step " + std::to_string(seen.step));
                                      });
                                      return ps::FallbackServers{
                                          .synchronizer = servers, .leave = [&seen, held] {
                                            seen.events.push_back("left behind step " + std::to_string(seen.step));
                                          }};
                                    },
                                .seconds = [&](const Step& step) { return seconds(step, world.rank()); },
                                .window = 2,
                                .window_on_servers = 2};
    if (changed) changed(options, seen);
    std::optional<ps::Fallback> fallback(std::in_place, data_parallel, std::move(options));
    DistributedSampler sampler({.count = 300, .global_batch = 10, .seed = 5});
    for (auto& step : data_parallel.steps(sampler)) {
      for (auto& shard : step.shards()) model.backward(shard.samples(), [&](std::size_t p) { shard.ready(p); });
      step.reduce();
      step.apply(optimizer);
      if (!seconds) continue;
      seen.step = step.index();
      if (const auto why = fallback->after(step)) seen.changes.emplace_back(step.index(), *why);
    }
    fallback->leave();
    fallback.reset();
    seen.bytes = model.bytes();
    if (world.rank() == world.size() - 1) end = seen;
  });
  return end;
}

}  // namespace

TEST_CASE("a job whose reductions become slow goes to servers by itself and comes back, with the same bits") {
  for (const int ranks : {1, 2, 3}) {
    CAPTURE(ranks);
    // Healthy for three windows; ill for two; then with servers, until all-reduce is found to be well.
    const auto seconds = [](const Step& step, int) { return step.index() >= 6 && step.index() < 24 ? 30.0 : 0.1; };
    const Watched left_alone = train_watched(ranks, {}), watched = train_watched(ranks, seconds);
    CHECK((watched.bytes == left_alone.bytes));
    REQUIRE(watched.changes.size() == 2);
    CHECK(watched.changes[0].first == 9);
    CHECK_THAT(watched.changes[0].second,
               Catch::Matchers::StartsWith("all_reduce takes 30 s a step, and took 0.1 s when it was healthy"));
    if (ranks > 1) CHECK_THAT(watched.changes[0].second, Catch::Matchers::Contains("(the link between ranks "));
    CHECK(watched.links_seen == static_cast<std::size_t>(ranks));
    CHECK(watched.changes[1].first == 21);
    CHECK_THAT(watched.changes[1].second, Catch::Matchers::Contains("servers take 30 s"));
    // The synchronizer goes when step 22 begins, and in step 23 all ranks meet.
    CHECK(watched.events == std::vector<std::string>{"asked", "left behind step 22", "let go behind step 23"});
  }
}

TEST_CASE("a job that ends with servers leaves them, and they go with the fallback") {
  const auto ended = train_watched(3, [](const Step& step, int) { return step.index() < 24 ? 0.1 : 30.0; });
  REQUIRE(ended.changes.size() == 1);
  CHECK(ended.events == std::vector<std::string>{"asked", "left behind step 29", "let go behind step 29"});
}

TEST_CASE("servers are asked for anew when a job leaves again, once those before have been let go") {
  const auto ended = train_watched(3, [](const Step& step, int) { return step.index() < 6 ? 0.1 : 30.0; });
  REQUIRE(ended.changes.size() == 3);
  CHECK(ended.changes[2].first == 25);
  CHECK(ended.events == std::vector<std::string>{"asked", "left behind step 22", "let go behind step 23", "asked",
                                                 "left behind step 29", "let go behind step 29"});
  CHECK((ended.bytes == train_watched(3, {}).bytes));
}

TEST_CASE("links that give no reason are left alone for a while, however long reductions take") {
  const auto seconds = [](const Step& step, int) { return step.index() >= 6 ? 30.0 : 0.1; };
  const auto watched = train_watched(2, seconds, [](ps::FallbackOptions& options, Watched& seen) {
    options.predict = [&seen](const ps::LinkSpeeds& links, Bytes gradients) {
      ++seen.predictions;
      seen.gradients = gradients;
      return ps::seconds_with_servers(links, gradients);  // of two ranks neither is better connected
    };
    options.spare = 5;
  });
  CHECK(watched.changes.empty());
  CHECK(watched.predictions == 2);  // of 12 ill windows: the first and the seventh
  CHECK(watched.gradients.value == (700 + 5 + 9000) * sizeof(float));
}

TEST_CASE("what links carry before training says what is healthy, also to a job that is ill from the first step on") {
  const auto watched = train_watched(
      3, [](const Step&, int) { return 1e6; },
      [](ps::FallbackOptions& options, Watched&) { options.healthy_by_links = true; });
  REQUIRE_FALSE(watched.changes.empty());
  CHECK(watched.changes[0].first == 3);  // two windows of two steps
}

TEST_CASE("a healthy job is left alone, and so is one that waits for a late worker alone") {
  CHECK(train_watched(2, [](const Step&, int) { return 0.1; }).changes.empty());
  // Of two ranks one waits long in every step: for the other.
  CHECK(train_watched(2, [](const Step& step, int rank) {
          return step.index() >= 6 && rank == 0 ? 30.0 : 0.1;
        }).changes.empty());
}

TEST_CASE("a link that delays its ends in one step, and the others by them in the next, is noticed") {
  const auto watched = train_watched(3, [](const Step& step, int rank) {
    return step.index() >= 6 && (step.index() + (rank == 0)) % 2 == 0 ? 30.0 : 0.1;
  });
  REQUIRE_FALSE(watched.changes.empty());
  CHECK(watched.changes[0].first == 9);
}

TEST_CASE("links name the slowest, and who is well connected") {
  ps::LinkSpeeds links = links_of(4, 25e6);
  CHECK(links.well_connected() == std::vector<std::size_t>{0, 1, 2, 3});
  links.bytes_per_second[1 * 4 + 3] = links.bytes_per_second[3 * 4 + 1] = 125e3;
  CHECK(links.slowest().a == 1);
  CHECK(links.slowest().b == 3);
  CHECK(links.median() == 25e6);
  CHECK(links.well_connected() == std::vector<std::size_t>{0, 2});
  CHECK(links.to_string() == "the link between ranks 1 and 3 carries 1 Mbit/s, half of all carry 200 Mbit/s or more");
  // Where every rank has a slow link, none is better than the others.
  links.bytes_per_second[0 * 4 + 2] = links.bytes_per_second[2 * 4 + 0] = 125e3;
  CHECK(links.well_connected().size() == 4);
}

TEST_CASE("bursts that a limiter lets through make no link ill beside one that is") {
  ps::LinkSpeeds links = links_of(4, 650e6);
  const auto set = [&](std::size_t a, std::size_t b, double speed) {
    links.bytes_per_second[a * 4 + b] = links.bytes_per_second[b * 4 + a] = speed;
  };
  set(0, 2, 70e6);
  set(1, 3, 230e6);
  set(2, 3, 1.1e6);
  CHECK(links.well_connected() == std::vector<std::size_t>{0, 1});
  set(0, 2, 3e6);  // ill as well
  CHECK(links.well_connected() == std::vector<std::size_t>{1});
  set(0, 2, 300e6);
  set(2, 3, 250e6);  // none is
  CHECK(links.least_of_well() == 0.0);
  CHECK(links.well_connected().size() == 4);
}

TEST_CASE("one ill link slows all_reduce down; servers beside the ranks it does not touch are what is predicted") {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  const Bytes gradients{4'000'000};
  ps::LinkSpeeds links = links_of(4, 1e8);
  CHECK(links.all_reduce_seconds(gradients) == Approx(2 * 3 * 1e6 / 1e8));
  CHECK(ps::seconds_with_servers(links, gradients) == infinite);  // all are well
  links.bytes_per_second[1 * 4 + 3] = links.bytes_per_second[3 * 4 + 1] = 1e5;
  CHECK(links.all_reduce_seconds(gradients) == Approx(2 * 1e6 / 1e5));      // two parts over that link
  CHECK(links.servers_seconds(gradients, 2) == Approx(2 * 3 * 2e6 / 1e8));  // a half, to and from three others
  CHECK(links.servers_seconds(gradients, 4) == Approx(2 * 4e6 / 1e8));      // a rank sends and gets all of it
  CHECK(ps::seconds_with_servers(links, gradients) == Approx(2 * 3 * 2e6 / 1e8));
  CHECK(ps::seconds_with_servers(links, gradients, 1000) == infinite);  // not so much worse
  links.bytes_per_second[0 * 4 + 2] = links.bytes_per_second[2 * 4 + 0] = 1e5;
  CHECK(ps::seconds_with_servers(links, gradients) == infinite);  // nobody can serve all
  CHECK(ps::seconds_with_servers(links_of(1, 0), gradients) == infinite);
}

TEST_CASE("every link is measured once, and all ranks see the same") {
  for (const int ranks : {1, 2, 3, 4, 5}) {
    std::vector<ps::LinkSpeeds> seen(static_cast<std::size_t>(ranks));
    run_ranks(ranks, [&](World& world) {
      seen[static_cast<std::size_t>(world.rank())] = ps::measure_links(world.communicator());
    });
    CAPTURE(ranks);
    for (const ps::LinkSpeeds& each : seen) {
      CHECK(each.bytes_per_second == seen.front().bytes_per_second);
      for (std::size_t a = 0; a < each.ranks; ++a) {
        for (std::size_t b = 0; b < each.ranks; ++b) CHECK((each.between(a, b) > 0) == (a != b));
      }
    }
  }
}

TEST_CASE("a link on which an exchange was slow is not asked again, and both its ends agree on that") {
  const auto bytes_sent = [](std::chrono::milliseconds slow) {
    std::uint64_t sent = 0;
    run_ranks(3,
              [&](World& world) {
                Communicator communicator = world.communicator();
                ps::measure_links(communicator, Bytes{1000}, slow);
                if (world.rank() == 0) sent = communicator.payload_bytes_sent();
              },
              {.transport = "tcp"});
    return sent;
  };
  // To each of two others: three times a byte to meet and what is measured; or that, and a byte to say that it is enough.
  CHECK(bytes_sent(std::chrono::hours(1)) - bytes_sent(std::chrono::milliseconds(0)) == 2 * (3 * 1001 - 1002));
}

TEST_CASE("a fallback without servers is refused, and one that looks at single steps") {
  std::string refusal, refusal_of_short_windows;
  run_ranks(1, [&](World& world) {
    Field<float> model({5});
    DataParallel data_parallel(world.communicator(), model.parameters(), {});
    try {
      ps::Fallback fallback(data_parallel, {});
    } catch (const Exception& refused) {
      refusal = refused.error().message;
    }
    try {
      ps::Fallback fallback(data_parallel,
                            {.servers = [](const ps::LinkSpeeds&) { return ps::FallbackServers{}; }, .window = 1});
    } catch (const Exception& refused) {
      refusal_of_short_windows = refused.error().message;
    }
  });
  CHECK_THAT(refusal, Catch::Matchers::Contains("which servers to go to"));
  CHECK_THAT(refusal_of_short_windows, Catch::Matchers::Contains("at least every 2"));
}
