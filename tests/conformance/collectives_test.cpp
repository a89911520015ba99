// SPDX-License-Identifier: Apache-2.0
#include "support/exact_inputs.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <numeric>
#include <thread>

using namespace trireme;
using testing::run_ranks;

namespace {

/// Catch's assertions are not for several threads: ranks note what went wrong, the test looks afterwards.
class Complaints {
 public:
  explicit Complaints(int ranks) : texts_(static_cast<std::size_t>(ranks)) {}
  void expect(World& world, bool holds, const std::string& what) {
    if (!holds) texts_[static_cast<std::size_t>(world.rank())] += what + "; ";
  }
  std::string all() const { return std::accumulate(texts_.begin(), texts_.end(), std::string()); }

 private:
  std::vector<std::string> texts_;
};

}  // namespace

TEST_CASE("broadcast, all_gather, reduce_scatter and barrier do what they say") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const int ranks = GENERATE(1, 2, 3, 4, 7);
  if (transport != "mem" && ranks == 7) return;
  const std::size_t count = GENERATE(0u, 1u, 5u, 40001u);
  CAPTURE(transport, ranks, count);
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              auto communicator = world.communicator();
              const auto p = static_cast<std::size_t>(ranks);
              for (int root = 0; root < ranks; ++root) {
                std::vector<float> data(count, static_cast<float>(world.rank()));
                communicator.broadcast(std::span(data), root);
                complaints.expect(world, data == std::vector<float>(count, static_cast<float>(root)), "broadcast");
              }
              std::vector<std::int32_t> mine(count), gathered(count * p);
              for (std::size_t i = 0; i < count; ++i)
                mine[i] = static_cast<std::int32_t>(static_cast<std::size_t>(world.rank()) * count + i);
              communicator.all_gather(std::span<const std::int32_t>(mine), std::span(gathered));
              std::vector<std::int32_t> expected(count * p);
              std::iota(expected.begin(), expected.end(), 0);
              complaints.expect(world, gathered == expected, "all_gather");
              // In place: the own part already lies where it belongs.
              std::fill(gathered.begin(), gathered.end(), -1);
              const auto own = std::span(gathered).subspan(static_cast<std::size_t>(world.rank()) * count, count);
              std::copy(mine.begin(), mine.end(), own.begin());
              communicator.all_gather(std::span<const std::int32_t>(own), std::span(gathered));
              complaints.expect(world, gathered == expected, "all_gather in place");

              std::vector<double> input(count * p), output(count);
              for (std::size_t i = 0; i < input.size(); ++i) input[i] = testing::exact_value<double>(world.rank(), i);
              communicator.reduce_scatter(std::span<const double>(input), std::span(output));
              for (std::size_t i = 0; i < count; ++i) {
                double total = 0;
                for (int r = 0; r < ranks; ++r)
                  total += testing::exact_value<double>(r, static_cast<std::size_t>(world.rank()) * count + i);
                if (output[i] != total) {
                  complaints.expect(world, false, "reduce_scatter");
                  break;
                }
              }
              communicator.barrier();
            },
            {.transport = transport});
  REQUIRE(complaints.all().empty());
}

TEST_CASE("reduce_scatter and all_gather in place give the bits they give out of place") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const int ranks = GENERATE(1, 2, 3, 4);
  if (transport != "mem" && ranks == 1) return;
  const std::size_t count = GENERATE(1u, 3000u, 40001u);
#ifdef TRIREME_SANITIZED
  if (ranks == 4 || (transport == "mem" && count > 3000)) return;  // the same again, slowly
#endif
  const auto order = GENERATE(ReductionOrder::canonical, ReductionOrder::fastest);
  const bool arena = GENERATE(true, false);
  CAPTURE(transport, ranks, count, name_of(order), arena);
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              auto communicator = world.communicator();
              const auto p = static_cast<std::size_t>(ranks);
              const auto arena_memory = world.memory().allocate<float>(arena ? count * p : 1);
              std::vector<float> foreign_memory(arena ? 0 : count * p);
              const auto whole = arena ? arena_memory.as<float>().first(count * p) : std::span<float>(foreign_memory);
              const auto own = whole.subspan(static_cast<std::size_t>(world.rank()) * count, count);
              const auto fill = [&](std::span<float> data) {
                for (std::size_t i = 0; i < data.size(); ++i)
                  data[i] = 1.0f / static_cast<float>(3 + i % 1000) + static_cast<float>(world.rank());
              };
              for (const auto op : {sum, maximum, average}) {
                std::vector<float> input(count * p), output(count), gathered(count * p);
                fill(input);
                communicator.reduce_scatter(std::span<const float>(input), std::span(output), op, {.order = order});
                communicator.all_gather(std::span<const float>(output), std::span(gathered));
                fill(whole);
                communicator.reduce_scatter(std::span<const float>(whole), own, op, {.order = order});
                complaints.expect(world, std::equal(own.begin(), own.end(), output.begin()), "reduce_scatter");
                communicator.all_gather(std::span<const float>(own), whole);
                complaints.expect(world, std::equal(whole.begin(), whole.end(), gathered.begin()), "all_gather");
              }
            },
            {.transport = transport, .world = {.arena_reserve = Bytes{256u << 20}}});
  REQUIRE(complaints.all().empty());
}

TEST_CASE("a barrier lets nobody through before everybody has come") {
  const int ranks = GENERATE(2, 3, 4, 6);
  std::atomic<int> arrived{0};
  Complaints complaints(ranks);
  run_ranks(ranks, [&](World& world) {
    for (int round = 1; round <= 20; ++round) {
      if (world.rank() == round % ranks) std::this_thread::yield();
      ++arrived;
      world.communicator().barrier();
      complaints.expect(world, arrived >= round * ranks, "too early");
      world.communicator().barrier();
    }
  });
  REQUIRE(complaints.all().empty());
}

TEST_CASE("messages between two ranks meet in order, beside collectives") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  Complaints complaints(3);
  run_ranks(3,
            [&](World& world) {
              auto communicator = world.communicator();
              const int next = (world.rank() + 1) % 3;
              const int previous = (world.rank() + 2) % 3;
              for (const std::size_t count : {std::size_t{1}, std::size_t{5000}, std::size_t{100000}}) {
                std::vector<float> first(count, static_cast<float>(world.rank())),
                    second(count, 10.0f + static_cast<float>(world.rank()));
                std::vector<float> got_first(count), got_second(count), reduced(17, 1.0f);
                auto a = communicator.send_async(std::span<const float>(first), next);
                auto b = communicator.send_async(std::span<const float>(second), next);
                auto c = communicator.recv_async(std::span(got_first), previous);
                communicator.all_reduce(std::span(reduced));
                communicator.recv(std::span(got_second), previous);
                a.wait();
                b.wait();
                c.wait();
                complaints.expect(world, got_first == std::vector<float>(count, static_cast<float>(previous)), "first");
                complaints.expect(world, got_second == std::vector<float>(count, 10.0f + static_cast<float>(previous)),
                                  "second");
                complaints.expect(world, reduced[16] == 3.0f, "reduced");
              }
            },
            {.transport = transport});
  REQUIRE(complaints.all().empty());
}

TEST_CASE("split makes communicators by color, ordered by key") {
  Complaints complaints(5);
  run_ranks(5, [&](World& world) {
    auto communicator = world.communicator();
    auto part = communicator.split(world.rank() % 2, -world.rank());
    complaints.expect(world, part.has_value(), "no communicator");
    const int expected_size = world.rank() % 2 == 0 ? 3 : 2;
    complaints.expect(world, part->size() == expected_size, "size");
    std::vector<std::int32_t> data{world.rank()};
    part->all_reduce(std::span(data));
    complaints.expect(world, data[0] == (world.rank() % 2 == 0 ? 6 : 4), "sum");
    std::vector<std::int32_t> order(static_cast<std::size_t>(part->size()));
    const std::array<std::int32_t, 1> mine{world.rank()};
    part->all_gather(std::span<const std::int32_t>(mine), std::span(order));
    complaints.expect(world, std::is_sorted(order.rbegin(), order.rend()), "order");
    auto none = communicator.split(world.rank() == 0 ? -1 : 0);
    complaints.expect(world, none.has_value() == (world.rank() != 0), "negative color");
  });
  REQUIRE(complaints.all().empty());
}

TEST_CASE("communicators are independent: ranks may use them in different orders") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  Complaints complaints(2);
  run_ranks(2,
            [&](World& world) {
              auto one = world.communicator();
              auto two = *one.split(0);
              for (const std::size_t count : {std::size_t{10}, std::size_t{200000}}) {
                std::vector<float> a(count, 1.0f), b(count, 2.0f);
                auto& early = world.rank() == 0 ? one : two;
                auto& late = world.rank() == 0 ? two : one;
                auto& early_data = world.rank() == 0 ? a : b;
                auto& late_data = world.rank() == 0 ? b : a;
                Work first = early.all_reduce_async(std::span(early_data));
                late.all_reduce(std::span(late_data));
                first.wait();
                complaints.expect(world, a[count - 1] == 2.0f && b[count - 1] == 4.0f, "sums");
              }
            },
            {.transport = transport});
  REQUIRE(complaints.all().empty());
}

TEST_CASE("a Work may be dropped: its destructor waits for the buffers") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    std::vector<float> data(100000, 1.0f);
    { [[maybe_unused]] Work dropped = world.communicator().all_reduce_async(std::span(data)); }
    complaints.expect(world, data[99999] == 2.0f, "not waited for");
  });
  REQUIRE(complaints.all().empty());
}

TEST_CASE("wrong arguments are refused before anything moves, and the communicator stays usable") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    auto communicator = world.communicator();
    std::vector<float> data(10, 1.0f);
    std::vector<std::int32_t> integers(10);
    const auto refused = [&](const std::string& part, ErrorCode code, auto call) {
      try {
        call();
        complaints.expect(world, false, "accepted: " + part);
      } catch (const Exception& error) {
        complaints.expect(world, error.error().code == code && error.error().message.find(part) != std::string::npos,
                          std::string("said: ") + error.what());
      }
    };
    refused("overlap", ErrorCode::invalid_argument,
            [&] { communicator.all_reduce(std::span<const float>(data).first(8), std::span(data).subspan(1, 8)); });
    refused("average", ErrorCode::invalid_argument, [&] { communicator.all_reduce(std::span(integers), average); });
    refused("root 2", ErrorCode::invalid_argument, [&] { communicator.broadcast(std::span(data), 2); });
    refused("itself", ErrorCode::invalid_argument,
            [&] { communicator.send(std::span<const float>(data), world.rank()); });
    refused("leaves", ErrorCode::invalid_argument,
            [&] { communicator.all_reduce(std::span(data), sum, {.leaves = 1}); });
    refused("elements", ErrorCode::invalid_argument,
            [&] { communicator.all_gather(std::span<const float>(data), std::span(data)); });
    refused("null", ErrorCode::invalid_argument,
            [&] { communicator.all_reduce(std::span<float>(static_cast<float*>(nullptr), 3)); });
    refused("sum of bool", ErrorCode::invalid_argument, [&] {
      std::array<bool, 4> flags{};
      communicator.all_reduce(std::span<bool>(flags));
    });
    refused("root 7", ErrorCode::invalid_argument,
            [&] { communicator.reduce(std::span<const float>(data), std::span(data), 7); });
    refused("multiple of the 2 ranks", ErrorCode::invalid_argument,
            [&] { communicator.all_to_all(std::span<const float>(data).first(3), std::span(data).subspan(3, 3)); });
    refused("counts has 1 entries", ErrorCode::invalid_argument, [&] {
      const std::array<std::size_t, 1> counts{10};
      communicator.all_gather(ConstTensorView(std::span(data)), TensorView(std::span(data)), counts);
    });
    refused("one dtype", ErrorCode::invalid_argument, [&] {
      const std::array<TensorView, 2> mixed{TensorView(std::span(data)), TensorView(std::span(integers))};
      communicator.all_reduce_group(mixed);
    });
    communicator.all_reduce(std::span(data));
    complaints.expect(world, data[0] == 2.0f, "unusable afterwards");
  });
  REQUIRE(complaints.all().empty());
}

TEST_CASE("the flight recorder holds the last operations with their labels") {
  std::string json;
  run_ranks(2, [&](World& world) {
    std::vector<float> data(10);
    world.communicator().all_reduce(std::span(data), sum, {.label = "layer\"0\""});
    world.communicator().barrier();
    if (world.rank() == 0) json = world.communicator().flight_recorder_json();
  });
  REQUIRE(json.find("all_reduce(count 10, f32, sum, canonical, 2 leaves)") != std::string::npos);
  REQUIRE(json.find("layer\\\"0\\\"") != std::string::npos);
  REQUIRE(json.find("barrier()") != std::string::npos);
}
