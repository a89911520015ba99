// SPDX-License-Identifier: Apache-2.0
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <chrono>
#include <numeric>
#include <thread>

using namespace trireme;
using testing::CaseWorld;
using testing::Complaints;
using testing::joined;
using testing::places;
using testing::rank_counts;
using testing::run_case;

TEST_CASE("broadcast, all_gather, reduce_scatter and barrier do what they say") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 3, 4, 7})));
  if (transport != "mem" && ranks == 7) return;
  const std::size_t count = GENERATE(0u, 1u, 5u, 40001u);
  CAPTURE(transport, ranks, count);
  const auto found = run_case(ranks, {.transport = transport}, [&](CaseWorld& world) {
    Complaints complaints;
    auto communicator = world.communicator();
    const auto p = static_cast<std::size_t>(ranks);
    for (int root = 0; root < ranks; ++root) {
      std::vector<float> data(count, static_cast<float>(world.rank()));
      communicator.broadcast(std::span(data), root);
      complaints.expect(data == std::vector<float>(count, static_cast<float>(root)), "broadcast");
    }
    std::vector<std::int32_t> mine(count), gathered(count * p);
    for (std::size_t i = 0; i < count; ++i)
      mine[i] = static_cast<std::int32_t>(static_cast<std::size_t>(world.rank()) * count + i);
    communicator.all_gather(std::span<const std::int32_t>(mine), std::span(gathered));
    std::vector<std::int32_t> expected(count * p);
    std::iota(expected.begin(), expected.end(), 0);
    complaints.expect(gathered == expected, "all_gather");
    // In place: the own part already lies where it belongs.
    std::fill(gathered.begin(), gathered.end(), -1);
    const auto own = std::span(gathered).subspan(static_cast<std::size_t>(world.rank()) * count, count);
    std::copy(mine.begin(), mine.end(), own.begin());
    communicator.all_gather(std::span<const std::int32_t>(own), std::span(gathered));
    complaints.expect(gathered == expected, "all_gather in place");

    std::vector<double> input(count * p), output(count);
    for (std::size_t i = 0; i < input.size(); ++i) input[i] = testing::exact_value<double>(world.rank(), i);
    communicator.reduce_scatter(std::span<const double>(input), std::span(output));
    for (std::size_t i = 0; i < count; ++i) {
      double total = 0;
      for (int r = 0; r < ranks; ++r)
        total += testing::exact_value<double>(r, static_cast<std::size_t>(world.rank()) * count + i);
      if (output[i] != total) {
        complaints.expect(false, "reduce_scatter");
        break;
      }
    }
    communicator.barrier();
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("reduce_scatter and all_gather in place give the bits they give out of place") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 3, 4})));
  if ((transport == "shm" || transport == "tcp") && ranks == 1) return;
  const std::size_t count = GENERATE(1u, 3000u, 40001u);
#ifdef TRIREME_SANITIZED
  if (ranks == 4 || count == (transport == "mem" ? 40001u : 3000u)) return;  // the same again, slowly
#endif
  const auto order = GENERATE(ReductionOrder::canonical, ReductionOrder::fastest);
  const bool arena = GENERATE(true, false);
  CAPTURE(transport, ranks, count, name_of(order), arena);
  const auto found =
      run_case(ranks, {.transport = transport, .world = {.arena_reserve = Bytes{256u << 20}}}, [&](CaseWorld& world) {
        Complaints complaints;
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
          complaints.expect(std::equal(own.begin(), own.end(), output.begin()), "reduce_scatter");
          communicator.all_gather(std::span<const float>(own), whole);
          complaints.expect(std::equal(whole.begin(), whole.end(), gathered.begin()), "all_gather");
        }
        return complaints.text();
      });
  REQUIRE(joined(found) == "");
}

TEST_CASE("a barrier lets nobody through before everybody has come") {
  const int ranks = GENERATE(from_range(rank_counts({2, 3, 4, 6})));
  constexpr std::size_t rounds = 20;
  // When each rank came and went, on the one clock that all threads and processes of a machine have.
  using Moment = std::chrono::steady_clock::time_point;
  struct Moments {
    std::array<Moment, rounds> came, went;
  };
  const auto found = run_case(ranks, [&](CaseWorld& world) {
    Moments moments{};
    for (std::size_t round = 0; round < rounds; ++round) {
      if (world.rank() == static_cast<int>(round + 1) % ranks) std::this_thread::yield();
      moments.came[round] = std::chrono::steady_clock::now();
      world.communicator().barrier();
      moments.went[round] = std::chrono::steady_clock::now();
      world.communicator().barrier();
    }
    return moments;
  });
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const auto& one : found) {
      for (const auto& other : found) REQUIRE(one.went[round] >= other.came[round]);
    }
  }
}

TEST_CASE("messages between two ranks meet in order, beside collectives") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const auto found = run_case(3, {.transport = transport}, [&](CaseWorld& world) {
    Complaints complaints;
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
      complaints.expect(got_first == std::vector<float>(count, static_cast<float>(previous)), "first");
      complaints.expect(got_second == std::vector<float>(count, 10.0f + static_cast<float>(previous)), "second");
      complaints.expect(reduced[16] == 3.0f, "reduced");
    }
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("split makes communicators by color, ordered by key") {
  const int ranks = GENERATE(from_range(rank_counts({4, 5})));
  const auto found = run_case(ranks, [&](CaseWorld& world) {
    Complaints complaints;
    auto communicator = world.communicator();
    auto part = communicator.split(world.rank() % 2, -world.rank());
    complaints.expect(part.has_value(), "no communicator");
    const int expected_size = world.rank() % 2 == 0 ? (ranks + 1) / 2 : 2;
    complaints.expect(part->size() == expected_size, "size");
    std::vector<std::int32_t> data{world.rank()};
    part->all_reduce(std::span(data));
    complaints.expect(data[0] == (world.rank() % 2 == 1 ? 4 : ranks == 4 ? 2 : 6), "sum");
    std::vector<std::int32_t> order(static_cast<std::size_t>(part->size()));
    const std::array<std::int32_t, 1> mine{world.rank()};
    part->all_gather(std::span<const std::int32_t>(mine), std::span(order));
    complaints.expect(std::is_sorted(order.rbegin(), order.rend()), "order");
    auto none = communicator.split(world.rank() == 0 ? -1 : 0);
    complaints.expect(none.has_value() == (world.rank() != 0), "negative color");
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("communicators are independent: ranks may use them in different orders") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const auto found = run_case(2, {.transport = transport}, [&](CaseWorld& world) {
    Complaints complaints;
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
      complaints.expect(a[count - 1] == 2.0f && b[count - 1] == 4.0f, "sums");
    }
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("a Work may be dropped: its destructor waits for the buffers") {
  const auto found = run_case(2, [&](CaseWorld& world) {
    Complaints complaints;
    std::vector<float> data(100000, 1.0f);
    { [[maybe_unused]] Work dropped = world.communicator().all_reduce_async(std::span(data)); }
    complaints.expect(data[99999] == 2.0f, "not waited for");
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("wrong arguments are refused before anything moves, and the communicator stays usable") {
  const auto found = run_case(2, [&](CaseWorld& world) {
    Complaints complaints;
    auto communicator = world.communicator();
    std::vector<float> data(10, 1.0f);
    std::vector<std::int32_t> integers(10);
    const auto refused = [&](const std::string& part, ErrorCode code, auto call) {
      try {
        call();
        complaints.expect(false, "accepted: " + part);
      } catch (const Exception& error) {
        complaints.expect(error.error().code == code && error.error().message.find(part) != std::string::npos,
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
    complaints.expect(data[0] == 2.0f, "unusable afterwards");
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("the flight recorder holds the last operations with their labels") {
  const auto found = run_case(2, [&](CaseWorld& world) {
    std::vector<float> data(10);
    world.communicator().all_reduce(std::span(data), sum, {.label = "layer\"0\""});
    world.communicator().barrier();
    return world.communicator().flight_recorder_json();
  });
  const std::string& json = found[0];
  const bool is_there =
      json.find("all_reduce(count 10, f32, sum, canonical, 2 leaves)") != std::string::npos ||
      json.find("all_reduce(count 10, f32, sum, canonical, 2 leaves, device memory)") != std::string::npos;
  REQUIRE(is_there);
  REQUIRE(json.find("layer\\\"0\\\"") != std::string::npos);
  REQUIRE(json.find("barrier()") != std::string::npos);
}
