// SPDX-License-Identifier: Apache-2.0
// The first promise: the bits of a canonical all_reduce are those of the contracted tree, and nothing else.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/exact_inputs.hpp"
#include "support/stride.hpp"
#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <tuple>

using namespace trireme;
using testing::CaseWorld;
using testing::places;
using testing::rank_counts;
using testing::run_case;
using testing::run_ranks;
using testing::same_bits;
using testing::thinned;

namespace {

int split_of(int leaves) {
  int split = 1;
  while (2 * split < leaves) split *= 2;
  return split;
}

/// The sum of leaves [first, first + count) by the balanced tree: written from the contract, not from the library.
template <class A>
A tree_sum(const std::function<A(int)>& leaf, int first, int count) {
  if (count == 1) return leaf(first);
  const int left = split_of(count);
  const A a = tree_sum<A>(leaf, first, left);
  const A b = tree_sum<A>(leaf, first + left, count - left);
  return a + b;
}

/// Blocks of leaves per rank: split the largest, the last of equals, until there are enough.
std::vector<std::pair<int, int>> blocks_of(int leaves, int ranks) {
  std::vector<std::pair<int, int>> blocks{{0, leaves}};
  while (static_cast<int>(blocks.size()) < ranks) {
    std::size_t largest = 0;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (blocks[i].second >= blocks[largest].second) largest = i;
    }
    const auto [first, count] = blocks[largest];
    const int left = split_of(count);
    blocks[largest] = {first, left};
    blocks.insert(blocks.begin() + static_cast<std::ptrdiff_t>(largest) + 1, {first + left, count - left});
  }
  return blocks;
}

template <class T>
using Accumulator = std::conditional_t<testing::is_narrow<T>, float, T>;

template <class T>
T round_to(Accumulator<T> value) {
  if constexpr (testing::is_narrow<T>)
    return testing::from_double<T>(static_cast<double>(value));
  else
    return value;
}
template <class T>
Accumulator<T> widen(T value) {
  if constexpr (testing::is_narrow<T>)
    return to_float(value);
  else
    return value;
}

// Under sanitizers a few stand for all: the kernels have tests of their own.
#ifdef TRIREME_SANITIZED
using FloatingTypes = std::tuple<float, BFloat16>;
using AllTypes = std::tuple<double, Float8E4M3, std::int32_t, bool>;
#else
using FloatingTypes = std::tuple<double, float, Float16, BFloat16, Float8E4M3, Float8E5M2>;
using AllTypes = std::tuple<double, float, Float16, BFloat16, Float8E4M3, Float8E5M2, std::int64_t, std::int32_t,
                            std::int8_t, std::uint64_t, std::uint32_t, std::uint8_t, bool>;
#endif

struct Case {
  std::string transport;
  int ranks;
  std::optional<std::string> algorithm;
};

/// Every rank's result, one after the other.
template <class T>
std::vector<std::vector<T>> all_reduce_everywhere(const Case& which, std::size_t count, ReduceOp op, bool in_place,
                                                  bool arena, const std::function<T(int, std::size_t)>& value) {
  return run_case(which.ranks, {.transport = which.transport, .world = {.algorithm = which.algorithm}},
                  [&](CaseWorld& world) {
                    auto communicator = world.communicator();
                    auto buffer_in = world.memory().allocate<T>(count + 1);
                    auto buffer_out = world.memory().allocate<T>(count + 1);
                    const auto own_in = std::make_unique<T[]>(count + 1), own_out = std::make_unique<T[]>(count + 1);
                    const std::span<T> in(arena ? buffer_in.template as<T>().data() : own_in.get(), count);
                    const std::span<T> out =
                        in_place ? in : std::span<T>(arena ? buffer_out.template as<T>().data() : own_out.get(), count);
                    for (std::size_t i = 0; i < count; ++i) in[i] = value(world.rank(), i);
                    if (in_place) {
                      communicator.all_reduce(in, op);
                    } else {
                      communicator.all_reduce(std::span<const T>(in), out, op);
                      for (std::size_t i = 0; i < count; ++i) {
                        if (!same_bits(in[i], value(world.rank(), i)))
                          throw std::runtime_error("the input was changed");
                      }
                    }
                    return std::vector<T>(out.begin(), out.end());
                  });
}

std::vector<std::string> canonical_algorithms(int ranks, int leaves) {
  if (!testing::cases_choose_options()) return {"auto"};
  std::vector<std::string> names;
  for (auto algorithm :
       plan::defined_algorithms({.collective = plan::Collective::all_reduce, .ranks = ranks, .leaves = leaves}, true)) {
    names.emplace_back(plan::name_of(algorithm));
  }
  return names;
}

template <class T>
void check_tree_bits(const Case& which, std::size_t count, bool in_place, bool arena) {
  const auto results = all_reduce_everywhere<T>(which, count, sum, in_place, arena, testing::rough_value<T>);
  for (std::size_t i = 0; i < count; ++i) {
    const T expected = round_to<T>(
        tree_sum<Accumulator<T>>([&](int rank) { return widen(testing::rough_value<T>(rank, i)); }, 0, which.ranks));
    for (const auto& result : results) {
      if (!same_bits(result[i], expected)) {
        FAIL("element " << i << " of " << count << ": " << testing::to_double(result[i]) << " is not "
                        << testing::to_double(expected));
      }
    }
  }
}

}  // namespace

TEST_CASE("all_reduce gives the bits of the contracted tree, whatever algorithm, transport and memory") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts(thinned({1, 2, 3, 4, 7, 8}, {2, 3, 4, 7}))));
  if (transport != "mem" && ranks > 4) return;
  for (const auto& algorithm : canonical_algorithms(ranks, ranks)) {
    for (const std::size_t count : thinned<std::size_t>({1, 1000, 70001}, {1000, 70001})) {
      CAPTURE(transport, ranks, algorithm, count);
      check_tree_bits<float>({transport, ranks, algorithm}, count, count % 2 == 0, count % 3 == 1);
    }
  }
  SUCCEED();
}

TEMPLATE_LIST_TEST_CASE("all_reduce keeps the tree's bits in every type", "", FloatingTypes) {
  for (const int ranks : rank_counts(thinned({2, 3, 5, 8}, {3, 4}))) {
    for (const auto& algorithm : canonical_algorithms(ranks, ranks)) {
      CAPTURE(ranks, algorithm);
      check_tree_bits<TestType>({"mem", ranks, algorithm}, 4099, true, true);
      check_tree_bits<TestType>({"mem", ranks, algorithm}, 4099, false, false);
    }
  }
  SUCCEED();
}

TEMPLATE_LIST_TEST_CASE("all_reduce of every operation and count is exact on exact inputs", "", AllTypes) {
  const int ranks = GENERATE(from_range(rank_counts(thinned({1, 2, 3, 4, 7}, {1, 3, 4}))));
  for (int index = 0; index < reduce_kind_count; ++index) {
    const auto kind = static_cast<ReduceKind>(index);
    const bool scaling = kind == ReduceKind::average || kind == ReduceKind::premultiplied_sum;
    if (scaling && !is_floating(dtype_of<TestType>)) continue;
    if (kind == ReduceKind::sum && std::is_same_v<TestType, bool>) continue;
    const double factor = kind == ReduceKind::premultiplied_sum ? 2.0 : 0.0;
    const auto p = static_cast<std::size_t>(ranks);
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, p - 1, p, p + 1, std::size_t{257}}) {
      const auto results = all_reduce_everywhere<TestType>({"mem", ranks, std::nullopt}, count, {kind, factor}, false,
                                                           count % 2 == 0, testing::exact_value<TestType>);
      for (std::size_t i = 0; i < count; ++i) {
        double expected = testing::to_double(testing::exact_value<TestType>(0, i));
        for (int rank = 1; rank < ranks; ++rank) {
          const double v = testing::to_double(testing::exact_value<TestType>(rank, i));
          switch (kind) {
            case ReduceKind::sum:
            case ReduceKind::average:
            case ReduceKind::premultiplied_sum: expected += v; break;
            case ReduceKind::product: expected *= v; break;
            case ReduceKind::min: expected = std::min(expected, v); break;
            case ReduceKind::max: expected = std::max(expected, v); break;
          }
        }
        if (kind == ReduceKind::premultiplied_sum) expected *= factor;
        TestType rounded = testing::from_double<TestType>(expected);
        if (kind == ReduceKind::average) {
          using A = Accumulator<TestType>;
          if constexpr (std::is_floating_point_v<A>)
            rounded = round_to<TestType>(static_cast<A>(expected) / static_cast<A>(ranks));
        }
        for (const auto& result : results) {
          if (!same_bits<TestType>(result[i], rounded))
            FAIL(name_of(kind) << " of " << count << " on " << ranks << " ranks, element " << i);
        }
      }
    }
  }
  SUCCEED();
}

TEST_CASE("the same leaves give the same bits on any number of ranks up to their number") {
  const auto transport = GENERATE(from_range(places({"mem", "shm"})));
  const int leaves = GENERATE(from_range(thinned({4, 6, 8}, {4, 6})));
  constexpr std::size_t count = 3001;
  std::vector<float> reference;
  std::vector<int> counts(static_cast<std::size_t>(transport == "mem" ? leaves : 4));
  std::iota(counts.begin(), counts.end(), 1);
  for (const int ranks : rank_counts(counts)) {
    for (const auto& algorithm : canonical_algorithms(ranks, leaves)) {
      CAPTURE(leaves, ranks, algorithm);
      const auto results =
          run_case(ranks, {.transport = transport, .world = {.algorithm = algorithm}}, [&](CaseWorld& world) {
            const auto [first, own] = blocks_of(leaves, ranks)[static_cast<std::size_t>(world.rank())];
            std::vector<float> data(count);
            for (std::size_t i = 0; i < count; ++i) {
              data[i] = tree_sum<float>([&](int leaf) { return testing::rough_value<float>(leaf, i); }, first, own);
            }
            world.communicator().all_reduce(std::span(data), average_over(3.0), {.leaves = leaves});
            return data;
          });
      if (reference.empty()) reference = results[0];
      for (const auto& result : results)
        REQUIRE(std::equal(result.begin(), result.end(), reference.begin(), same_bits<float>));
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const float expected =
        tree_sum<float>([&](int leaf) { return testing::rough_value<float>(leaf, i); }, 0, leaves) / 3.0f;
    REQUIRE(same_bits(reference[i], expected));
  }
}

TEST_CASE("the ring is refused where the order is canonical, and agrees on all ranks where it may be fastest") {
  if (!testing::among_threads("the ring is an algorithm of the host engine, which a case must be able to choose"))
    return;
  const int ranks = GENERATE(2, 3, 5);
  const testing::RunRanksOptions options{.transport = "mem", .world = {.algorithm = "ring"}};
  std::vector<std::vector<float>> results(static_cast<std::size_t>(ranks));
  std::vector<std::string> refusals(static_cast<std::size_t>(ranks));
  run_ranks(
      ranks,
      [&](World& world) {
        const auto rank = static_cast<std::size_t>(world.rank());
        std::vector<float> data(1001);
        for (std::size_t i = 0; i < data.size(); ++i) data[i] = testing::rough_value<float>(world.rank(), i);
        try {
          world.communicator().all_reduce(std::span(data));
        } catch (const Exception& error) {
          refusals[rank] = error.what();
        }
        world.communicator().all_reduce(std::span(data), sum, {.order = ReductionOrder::fastest});
        results[rank] = data;
      },
      options);
  for (const auto& refusal : refusals) {
    REQUIRE(refusal.find("invalid_argument") == 0);
    REQUIRE(refusal.find("ring") != std::string::npos);
    REQUIRE(refusal.find("direct") != std::string::npos);
  }
  for (const auto& result : results)
    REQUIRE(std::equal(result.begin(), result.end(), results[0].begin(), same_bits<float>));
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    double expected = 0;
    for (int rank = 0; rank < ranks; ++rank) expected += static_cast<double>(testing::rough_value<float>(rank, i));
    REQUIRE(static_cast<double>(results[0][i]) == Approx(expected).epsilon(1e-4).margin(1e-3));
  }
}

TEST_CASE("every rank sends the payload the algorithm's formula says, and no more") {
  if (!testing::among_threads("a case must be able to choose the algorithm, and what MPI sends is its own affair"))
    return;
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const int ranks = GENERATE(from_range(thinned({2, 3, 4}, {3, 4})));
  const std::size_t count = GENERATE(from_range(thinned<std::size_t>({1, 10, 50021}, {10, 50021})));
  const auto block = [&](int index) {
    const auto p = static_cast<std::size_t>(ranks);
    const auto b = static_cast<std::size_t>((index + 2 * ranks) % ranks);
    return (b + 1) * count / p - b * count / p;
  };
  for (const std::string algorithm : {"direct", "ring", "recursive_doubling", "tree"}) {
    if (algorithm == "recursive_doubling" && ranks == 3) continue;
    std::vector<std::uint64_t> sent(static_cast<std::size_t>(ranks));
    run_ranks(ranks,
              [&](World& world) {
                std::vector<float> data(count, 1.0f);
                const auto before = world.communicator().payload_bytes_sent();
                world.communicator().all_reduce(std::span(data), sum, {.order = ReductionOrder::fastest});
                sent[static_cast<std::size_t>(world.rank())] =
                    (world.communicator().payload_bytes_sent() - before) / sizeof(float);
              },
              {.transport = transport, .world = {.algorithm = algorithm}});
    std::uint64_t total = 0;
    for (int r = 0; r < ranks; ++r) {
      CAPTURE(transport, ranks, count, algorithm, r);
      const auto got = sent[static_cast<std::size_t>(r)];
      total += got;
      if (algorithm == "direct") REQUIRE(got == 2 * count - block(r) - block(r + 1));
      if (algorithm == "ring") REQUIRE(got == 2 * count - block(r + 1) - block(r + 2));
      if (algorithm == "recursive_doubling") REQUIRE(got == count * static_cast<std::size_t>(ranks == 2 ? 1 : 2));
    }
    if (algorithm == "tree")
      REQUIRE(total == 2 * count * static_cast<std::size_t>(ranks - 1));  // up and down every edge
  }
}

TEST_CASE("eight operations in flight finish, each with its own result") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp"})));
  const int ranks = GENERATE(from_range(rank_counts({2, 4})));
  const auto found = run_case(ranks, {.transport = transport}, [&](CaseWorld& world) {
    testing::Complaints complaints;
    auto communicator = world.communicator();
    for (int round = 0; round < 5; ++round) {
      std::vector<std::vector<std::int64_t>> data(8);
      std::vector<Work> works;
      for (std::size_t k = 0; k < data.size(); ++k) {
        data[k].assign(1000 * k + 7, static_cast<std::int64_t>(k) + world.rank());
        works.push_back(communicator.all_reduce_async(std::span(data[k])));
      }
      for (std::size_t k = works.size(); k-- > 0;) works[k].wait();  // in another order than issued
      for (std::size_t k = 0; k < data.size(); ++k) {
        const auto expected = static_cast<std::int64_t>(k) * ranks + ranks * (ranks - 1) / 2;
        for (auto v : data[k]) {
          if (v != expected) {
            complaints.expect(false, "operation " + std::to_string(k));
            break;
          }
        }
      }
    }
    return complaints.text();
  });
  REQUIRE(testing::joined(found) == "");
}
