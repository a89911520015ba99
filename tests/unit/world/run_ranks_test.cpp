// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/run_ranks.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

using namespace trireme;
using testing::run_ranks;
using testing::run_ranks_collecting;

using testing::error_of;

TEST_CASE("run_ranks refuses a number of ranks or a transport that is none") {
  bool ran = false;
  const auto body = [&](World&) { ran = true; };
  for (const int ranks : {0, -1}) {
    const auto error = error_of([&] { run_ranks(ranks, body); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE(error.message.find(std::to_string(ranks)) != std::string::npos);
  }
  for (const char* transport : {"", "auto", "MEM", "udp"}) {
    const auto error = error_of([&] { run_ranks(2, body, {.transport = transport}); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE(error.message.find("'" + std::string(transport) + "'") != std::string::npos);
  }
  REQUIRE(error_of([&] { run_ranks(2, body, {.world = {.algorithm = "quantum"}}); }).code ==
          ErrorCode::invalid_argument);
  REQUIRE(!ran);
}

TEST_CASE("every rank runs on a thread of its own with its own place in the world") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const int ranks = GENERATE(1, 3);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::set<int> seen;
  run_ranks(ranks,
            [&](World& world) {
              const std::lock_guard lock(mutex);
              threads.insert(std::this_thread::get_id());
              seen.insert(world.rank());
              if (world.size() != ranks) throw std::logic_error("size");
              if (world.local_rank() != world.rank() || world.local_size() != ranks) throw std::logic_error("local");
              for (int peer = 0; peer < ranks; ++peer) {
                if (world.transport(peer) != (peer == world.rank() ? "self" : transport))
                  throw std::logic_error("transport");
                if (world.host(peer).empty()) throw std::logic_error("host");
              }
            },
            {.transport = transport});
  REQUIRE(threads.size() == static_cast<std::size_t>(ranks));
  REQUIRE(threads.count(std::this_thread::get_id()) == 0);
  REQUIRE(seen.size() == static_cast<std::size_t>(ranks));
  REQUIRE(*seen.begin() == 0);
}

TEST_CASE("rank, size, master and transport in the options do not disturb the ranks of a test") {
  std::atomic<int> sizes{0};
  run_ranks(2, [&](World& world) { sizes += world.size(); },
            {.world = {.rank = 7, .world_size = 9, .master = "nowhere:1", .transport = "shm"}});
  REQUIRE(sizes == 4);
}

TEST_CASE("what the lowest failing rank threw is rethrown after all have ended") {
  std::atomic<int> ended{0};
  try {
    run_ranks(3, [&](World& world) {
      ++ended;
      if (world.rank() >= 1) throw std::runtime_error("rank " + std::to_string(world.rank()));
    });
    FAIL("did not throw");
  } catch (const std::runtime_error& caught) {
    REQUIRE(std::string(caught.what()) == "rank 1");
  }
  REQUIRE(ended == 3);
  const auto thrown = run_ranks_collecting(3, [](World& world) {
    if (world.rank() == 2) throw std::runtime_error("two");
  });
  REQUIRE(thrown.size() == 3);
  REQUIRE(!thrown[0]);
  REQUIRE(!thrown[1]);
  REQUIRE(thrown[2]);
}

namespace {

bool has_address(const std::string& address) {
  const auto all = net::interface_addresses();
  return std::any_of(all.begin(), all.end(), [&](const auto& each) { return each.address == address; });
}

}  // namespace

TEST_CASE("a world over one address of either family gives the same bits, and rank 0 says once which way it goes") {
  const auto address = GENERATE(as<std::string>{}, "127.0.0.1", "::1");
  const int flows = GENERATE(1, 3);
  CAPTURE(address, flows);
  if (!has_address(address)) {
    WARN("skipped: this machine has no " << address);
    return;
  }
  constexpr int ranks = 3;
  std::mutex mutex;
  std::vector<std::string> lines;
  const Log log(LogLevel::info, [&](LogLevel level, std::string_view line) {
    const std::lock_guard lock(mutex);
    if (level == LogLevel::info) lines.emplace_back(line);
  });
  std::vector<std::vector<float>> results(ranks);
  run_ranks(ranks,
            [&](World& world) {
              auto& mine = results[static_cast<std::size_t>(world.rank())];
              for (const std::size_t count : {std::size_t{3}, std::size_t{700'001}}) {
                std::vector<float> data(count);
                for (std::size_t i = 0; i < count; ++i)
                  data[i] = static_cast<float>(i % 1000 * static_cast<std::size_t>(world.rank() + 1));
                world.communicator().all_reduce(std::span(data));
                mine.insert(mine.end(), data.begin(), data.end());
              }
            },
            {.transport = "tcp", .world = {.interface = address, .tcp_flows = flows, .log = log}});
  std::size_t wrong = 0;
  for (const auto& each : results) {
    REQUIRE(each.size() == 700'004);
    for (std::size_t i = 0; i < each.size(); ++i)
      wrong += each[i] != static_cast<float>((i < 3 ? i : i - 3) % 1000 * (1 + 2 + 3));
  }
  REQUIRE(wrong == 0);
  REQUIRE(lines == std::vector<std::string>{"world of 3 ranks open: ranks 1, 2 over tcp, " + address + " (lo), " +
                                            (flows == 1 ? "1 flow" : "3 flows")});
}

TEST_CASE("an impossible number of flows is one line that names the option") {
  const auto thrown = run_ranks_collecting(2, [](World&) {}, {.transport = "tcp", .world = {.tcp_flows = 17}});
  for (const auto& each : thrown) {
    const auto error = error_of([&] { std::rethrow_exception(each); });
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE(error.message == "Options::tcp_flows is '17': give 1 to 16");
  }
}

TEST_CASE("worlds may stand in one process beside each other") {
  std::atomic<int> right{0};
  const auto world_of = [&](int ranks) {
    run_ranks(ranks, [&](World& world) {
      for (int i = 0; i < 20; ++i) {
        std::vector<std::int32_t> data(100, 1);
        world.communicator().all_reduce(std::span(data));
        right += data[99] == world.size();
      }
    });
  };
  std::thread other([&] { world_of(2); });
  world_of(3);
  other.join();
  REQUIRE(right == 20 * 5);
}
