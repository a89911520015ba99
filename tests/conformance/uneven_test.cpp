// SPDX-License-Identifier: Apache-2.0
// reduce_scatter and all_gather with blocks of unequal sizes, empty ones among them: what a sharded optimizer does with
// its gradients and with the values it has updated.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <tuple>

using namespace trireme;
using namespace trireme::testing;

namespace {

/// Sizes of about `about`, one in three of them 0: the same for all who ask.
std::vector<std::size_t> sizes_of(std::uint64_t seed, int ranks, std::size_t about) {
  std::vector<std::size_t> sizes;
  for (int r = 0; r < ranks; ++r) {
    const auto chance = mix(seed * 7919 + static_cast<std::uint64_t>(r));
    sizes.push_back(chance % 3 == 0 ? 0 : about / 2 + (chance >> 8) % (about + 1));
  }
  return sizes;
}
std::size_t total_of(const std::vector<std::size_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
}
template <class T>
std::span<T> block_of(std::span<T> whole, const std::vector<std::size_t>& sizes, int rank) {
  const auto own = static_cast<std::size_t>(rank);
  const auto begin = std::accumulate(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(own), std::size_t{0});
  return whole.subspan(begin, sizes[own]);
}

/// Memory of `count` elements, in the arena or not.
template <class T>
class Room {
 public:
  Room(CaseWorld& world, bool arena, std::size_t count)
      : arena_(world.memory().allocate<T>(arena ? std::max<std::size_t>(count, 1) : 1)), foreign_(arena ? 0 : count) {
    all_ = arena ? arena_.template as<T>().first(count) : std::span<T>(foreign_);
  }
  std::span<T> all() const { return all_; }

 private:
  ArenaBuffer arena_;
  std::vector<T> foreign_;
  std::span<T> all_;
};

/// What is added and what comes out.
template <class In, class Out>
struct Types {
  using Input = In;
  using Output = Out;
};

#ifdef TRIREME_SANITIZED
using EveryTypes = std::tuple<Types<float, float>, Types<float, BFloat16>>;
#else
using EveryTypes = std::tuple<Types<float, float>, Types<double, double>, Types<BFloat16, BFloat16>,
                              Types<float, BFloat16>, Types<float, Float16>, Types<std::int32_t, std::int32_t>>;
#endif

std::vector<std::size_t> sizes_to_try(int ranks) {
#ifdef TRIREME_SANITIZED
  return {5, ranks <= 3 ? 40'000u : 700u};
#else
  std::vector<std::size_t> sizes{0, 1, 37, 700, 9000};
  if (ranks == 3) sizes.push_back(80'000);
  return sizes;
#endif
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("reduce_scatter with counts gives each rank its slice of the all_reduce, bit for bit", "",
                        EveryTypes) {
  using In = typename TestType::Input;
  using Out = typename TestType::Output;
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 3, 4, 5, 8})));
  if (transport != "mem" && (ranks == 1 || ranks == 8)) return;
#ifdef TRIREME_SANITIZED
  if (ranks == 8 || (transport == "shm" && ranks > 3)) return;
#endif
  const bool arena = GENERATE(true, false);
  CAPTURE(transport, ranks, arena);
  const auto found =
      run_case(ranks, {.transport = transport, .world = {.arena_reserve = Bytes{128u << 20}}}, [&](CaseWorld& world) {
        Complaints complaints;
        auto communicator = world.communicator();
        const int rank = world.rank();
        std::uint64_t seed = 1;
        for (const std::size_t about : sizes_to_try(ranks)) {
          const auto sizes = sizes_of(++seed, ranks, about);
          const std::size_t count = total_of(sizes);
          // One rank in three has its memory elsewhere than the others.
          const Room<In> in(world, arena != (rank % 3 == 2 && about % 2 == 1), count);
          const Room<Out> whole(world, arena, count);
          const Room<Out> own(world, arena, block_of(whole.all(), sizes, rank).size());
          std::vector<ReduceOp> ops{sum};
          if (about == 700) ops.push_back(maximum);
          if (is_floating(dtype_of<Out>) && (about == 37 || about == 9000)) {
            ops.push_back(about == 37 ? average : average_over(37.5));
            ops.push_back(premultiplied_sum(0.25 + rank));
          }
          for (std::size_t k = 0; k < ops.size(); ++k) {
            const ReduceOp op = ops[k];
            for (const int leaves : {ranks, k % 2 == 0 ? ranks + 3 : 2 * ranks}) {
              for (std::size_t i = 0; i < count; ++i) in.all()[i] = rough_value<In>(rank, i);
              const std::span<const In> input = in.all();
              communicator.all_reduce(ConstTensorView(input), TensorView(whole.all()), op, {.leaves = leaves});
              communicator.reduce_scatter(ConstTensorView(input), TensorView(own.all()), sizes, op, {.leaves = leaves});
              const auto expected = block_of(whole.all(), sizes, rank);
              const std::string what =
                  std::string(name_of(op.kind)) + " of " + std::to_string(count) + ", leaves " + std::to_string(leaves);
              complaints.expect(std::equal(own.all().begin(), own.all().end(), expected.begin(), same_bits<Out>), what);
              if constexpr (std::is_same_v<In, Out>) {
                const auto part = block_of(in.all(), sizes, rank);
                communicator.reduce_scatter(ConstTensorView(input), TensorView(part), sizes, op, {.leaves = leaves});
                complaints.expect(std::equal(part.begin(), part.end(), expected.begin(), same_bits<Out>),
                                  what + ", in place");
              }
            }
          }
        }
        return complaints.text();
      });
  REQUIRE(joined(found) == "");
}

TEST_CASE("reduce_scatter with counts in the fastest order adds every contribution once") {
  const auto transport = GENERATE(from_range(places({"mem", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({2, 3, 5})));
  CAPTURE(transport, ranks);
  const auto found = run_case(ranks, {.transport = transport}, [&](CaseWorld& world) {
    Complaints complaints;
    auto communicator = world.communicator();
    std::uint64_t seed = 20;
    for (const std::size_t about : {std::size_t{0}, std::size_t{3}, std::size_t{2000}, std::size_t{90'000}}) {
      for (const bool in_place : {false, true}) {
        const auto sizes = sizes_of(++seed, ranks, about);
        std::vector<float> input(total_of(sizes));
        for (std::size_t i = 0; i < input.size(); ++i) input[i] = exact_value<float>(world.rank(), i);
        const auto inside = block_of(std::span(input), sizes, world.rank());
        std::vector<float> outside(inside.size());
        const auto output = in_place ? inside : std::span(outside);
        const auto first = static_cast<std::size_t>(inside.data() - input.data());
        communicator.reduce_scatter(ConstTensorView(std::span<const float>(input)), TensorView(output), sizes,
                                    average_over(4), {.order = ReductionOrder::fastest});
        for (std::size_t i = 0; i < output.size(); ++i) {
          float total = 0;
          for (int r = 0; r < ranks; ++r) total += exact_value<float>(r, first + i);
          if (output[i] == total / 4) continue;
          complaints.expect(false, "element " + std::to_string(i) + " of sizes about " + std::to_string(about));
          break;
        }
      }
    }
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("all_gather with counts gives everybody every block, in place too, and whichever blocks are empty") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 3, 4, 5, 8})));
  if (transport != "mem" && (ranks == 1 || ranks == 8)) return;
  const bool arena = GENERATE(true, false);
  CAPTURE(transport, ranks, arena);
  const auto found =
      run_case(ranks, {.transport = transport, .world = {.arena_reserve = Bytes{128u << 20}}}, [&](CaseWorld& world) {
        Complaints complaints;
        auto communicator = world.communicator();
        const int rank = world.rank();
        std::uint64_t seed = 40;
        const auto try_sizes = [&](const std::vector<std::size_t>& sizes) {
          const std::size_t count = total_of(sizes);
          std::vector<std::uint64_t> expected(count);
          for (std::size_t i = 0; i < count; ++i) expected[i] = mix(seed + i);
          for (const bool in_place : {false, true}) {
            const Room<std::uint64_t> whole(world, arena != (rank % 3 == 2 && seed % 2 == 1), count);
            std::fill(whole.all().begin(), whole.all().end(), 0);
            const auto place = block_of(whole.all(), sizes, rank);
            const Room<std::uint64_t> apart(world, arena, place.size());
            const auto mine = in_place ? place : apart.all();
            const auto given = block_of(std::span(expected), sizes, rank);
            std::copy(given.begin(), given.end(), mine.begin());
            communicator.all_gather(ConstTensorView(std::span<const std::uint64_t>(mine)), TensorView(whole.all()),
                                    sizes);
            complaints.expect(std::equal(expected.begin(), expected.end(), whole.all().begin()),
                              std::to_string(count) + " elements" + (in_place ? " in place" : ""));
          }
        };
        for (const std::size_t about : {std::size_t{0}, std::size_t{1}, std::size_t{20}, std::size_t{700},
                                        std::size_t{5000}, std::size_t{40'000}}) {
          try_sizes(sizes_of(++seed, ranks, about));
          // All of it on one rank.
          std::vector<std::size_t> alone(static_cast<std::size_t>(ranks), 0);
          alone[seed % alone.size()] = about;
          try_sizes(alone);
        }
        return complaints.text();
      });
  REQUIRE(joined(found) == "");
}

TEST_CASE("operations with counts may be in flight beside others, several at a time") {
  const auto transport = GENERATE(from_range(places({"mem", "tcp"})));
  const auto found = run_case(3, {.transport = transport}, [&](CaseWorld& world) {
    Complaints complaints;
    auto communicator = world.communicator();
    struct Bucket {
      std::vector<std::size_t> sizes;
      std::vector<float> gradient;
      std::array<float, 5> other{};
      std::span<float> own{};
    };
    std::vector<Bucket> buckets(6);
    std::vector<Work> reducing, others, gathering;
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      Bucket& bucket = buckets[b];
      bucket.sizes = sizes_of(60 + b, 3, b % 2 == 0 ? 300 : 30'000);
      bucket.gradient.assign(total_of(bucket.sizes), static_cast<float>(b + 1));
      bucket.other.fill(1.0f);
      bucket.own = block_of(std::span(bucket.gradient), bucket.sizes, world.rank());
      reducing.push_back(communicator.reduce_scatter_async(ConstTensorView(std::span<const float>(bucket.gradient)),
                                                           TensorView(bucket.own), bucket.sizes));
      others.push_back(communicator.all_reduce_async(std::span<float>(bucket.other)));
    }
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      reducing[b].wait();
      for (float& value : buckets[b].own) value += 0.5f;
      gathering.push_back(communicator.all_gather_async(ConstTensorView(std::span<const float>(buckets[b].own)),
                                                        TensorView(std::span(buckets[b].gradient)), buckets[b].sizes));
    }
    for (std::size_t b = 0; b < buckets.size(); ++b) {
      gathering[b].wait();
      others[b].wait();
      const auto& values = buckets[b].gradient;
      const float expected = 3.0f * static_cast<float>(b + 1) + 0.5f;
      complaints.expect(std::all_of(values.begin(), values.end(), [&](float v) { return v == expected; }), "values");
      complaints.expect(buckets[b].other[4] == 3.0f, "all_reduce");
    }
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}

TEST_CASE("reduce_scatter with counts sends every element but those of the own block, once") {
  if (!among_threads("what MPI sends is its own affair")) return;
  const int ranks = GENERATE(2, 3, 5);
  for (const std::size_t about : {std::size_t{0}, std::size_t{10}, std::size_t{20'000}}) {
    const auto sizes = sizes_of(80 + about, ranks, about);
    const auto sent = run_case(ranks, {.transport = "tcp"}, [&](CaseWorld& world) {
      std::vector<float> input(total_of(sizes), 1.0f), output(sizes[static_cast<std::size_t>(world.rank())]);
      const auto before = world.communicator().payload_bytes_sent();
      world.communicator().reduce_scatter(ConstTensorView(std::span<const float>(input)), TensorView(std::span(output)),
                                          sizes);
      return world.communicator().payload_bytes_sent() - before;
    });
    for (std::size_t r = 0; r < sizes.size(); ++r) {
      CAPTURE(ranks, about, r);
      REQUIRE(sent[r] == (total_of(sizes) - sizes[r]) * sizeof(float));
    }
  }
}

TEST_CASE("wrong counts are refused before anything moves, and the flight recorder knows right ones") {
  const auto found = run_case(2, [&](CaseWorld& world) {
    Complaints complaints;
    auto communicator = world.communicator();
    const int rank = world.rank();
    std::vector<float> input(10, 1.0f), output(rank == 0 ? 3 : 7);
    const auto call = [&](std::vector<std::size_t> counts, TensorView to) {
      communicator.reduce_scatter(ConstTensorView(std::span<const float>(input)), to, counts);
    };
    const auto refused = [&](const std::string& part, std::vector<std::size_t> counts, TensorView to) {
      try {
        call(counts, to);
        complaints.expect(false, "accepted: " + part);
      } catch (const Exception& error) {
        complaints.expect(
            error.error().code == ErrorCode::invalid_argument && error.error().message.find(part) != std::string::npos,
            std::string("said: ") + error.what());
      }
    };
    const TensorView right(std::span<float>{output});
    refused("counts has 3 entries; give one for each of the 2 ranks", {3, 7, 0}, right);
    refused("counts add up to 11 elements, input has 10",
            rank == 0 ? std::vector<std::size_t>{3, 8} : std::vector<std::size_t>{4, 7}, right);
    refused("counts gives rank " + std::to_string(rank), {7, 3}, right);
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 16;
    refused("impossible count", {most, most}, right);
    refused("overlap in part", {3, 7}, TensorView(std::span(input).subspan(rank == 0 ? 1 : 2, output.size())));
    call({3, 7}, right);
    complaints.expect(output.front() == 2.0f && output.back() == 2.0f, "unusable afterwards");
    const std::string json = communicator.flight_recorder_json();
    complaints.expect(json.find("reduce_scatter(uneven, count 10 in all, counts' digest ") != std::string::npos, json);
    return complaints.text();
  });
  REQUIRE(joined(found) == "");
}
