// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/conjugate.hpp"

#include "trireme/base/error.hpp"
#include "unit/tensor_parallel/field.hpp"

namespace trireme::tensor_parallel {
namespace {

using namespace testing;

const std::vector<Split> splits = {{1, 13, 3}, {4, 7, 2}, {3, 12, 5, 4}, {1, 2, 1}, {5, 1, 3}};

std::span<const double> in(const Values& values) { return values; }
std::span<double> out(Values& values) { return values; }

std::uint64_t own(const Axis& axis, std::uint64_t seed) { return 100 * seed + static_cast<std::uint64_t>(axis.rank()); }

/// The sum over ranks.
double over_ranks(Axis& axis, double mine) {
  Communicator communicator = axis.communicator();
  communicator.all_reduce(std::span<double>(&mine, 1));
  return mine;
}

std::string equal(const char* pair, double left, double right) {
  return std::abs(left - right) <= 1e-12 * (1 + std::abs(left))
             ? ""
             : std::string(pair) + ": " + std::to_string(left) + " is not " + std::to_string(right) + " ";
}

/// What is known of a state: a logical tensor on all ranks, one per rank, a share of one.
enum class State { replicated, per_rank, sharded };

/// x of that state, of ranks that draw from the same numbers where they have the same tensor.
Values draw(const Axis& axis, State state, const Split& split, std::uint64_t seed) {
  if (state == State::per_rank) return numbers(split.count(), own(axis, seed));
  const Values whole = numbers(split.count(), seed);
  return state == State::replicated ? whole : share_of(axis, split, whole);
}
double inner(Axis& axis, State state, const Values& a, const Values& b) {
  return state == State::replicated ? dot(a, b) : over_ranks(axis, dot(a, b));
}

}  // namespace

TEST_CASE("Conjugate pairs satisfy <F x, y> = <x, F* y> on any number of ranks and for any shares") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CAPTURE(ranks);
    REQUIRE(
        on_axis(ranks, [](Axis& axis) {
          std::string complaints;
          for (const Split& split : splits) {
            const std::size_t whole = split.count(), mine = axis.share_count(split);
            const auto check = [&](const char* pair, State before, State behind, auto forward, auto backward) {
              const Values x = draw(axis, before, split, 1), y = draw(axis, behind, split, 2);
              Values fx(behind == State::sharded ? mine : whole), fy(before == State::sharded ? mine : whole);
              forward(x, fx);
              backward(y, fy);
              complaints += equal(pair, inner(axis, behind, fx, y), inner(axis, before, x, fy));
            };
            check(
                "replicated_to_copies", State::replicated, State::per_rank, [](const Values& x, Values& fx) { fx = x; },
                [&](const Values& y, Values& fy) {
                  fy = y;
                  replicated_to_copies_backward(axis, out(fy), "pair");
                });
            check(
                "partial_to_replicated", State::per_rank, State::replicated,
                [&](const Values& x, Values& fx) {
                  fx = x;
                  partial_to_replicated(axis, out(fx), "pair");
                },
                [](const Values& y, Values& fy) { fy = y; });
            check(
                "replicated_to_sharded", State::replicated, State::sharded,
                [&](const Values& x, Values& fx) { replicated_to_sharded(axis, split, in(x), out(fx), "pair"); },
                [&](const Values& y, Values& fy) {
                  replicated_to_sharded_backward(axis, split, in(y), out(fy), "pair");
                });
            check(
                "sharded_to_replicated", State::sharded, State::replicated,
                [&](const Values& x, Values& fx) { sharded_to_replicated(axis, split, in(x), out(fx), "pair"); },
                [&](const Values& y, Values& fy) {
                  sharded_to_replicated_backward(axis, split, in(y), out(fy), "pair");
                });
            check(
                "sharded_to_copies", State::sharded, State::per_rank,
                [&](const Values& x, Values& fx) { sharded_to_copies(axis, split, in(x), out(fx), "pair"); },
                [&](const Values& y, Values& fy) { sharded_to_copies_backward(axis, split, in(y), out(fy), "pair"); });
            check(
                "partial_to_sharded", State::per_rank, State::sharded,
                [&](const Values& x, Values& fx) { partial_to_sharded(axis, split, in(x), out(fx), "pair"); },
                [&](const Values& y, Values& fy) { partial_to_sharded_backward(axis, split, in(y), out(fy), "pair"); });
          }
          return complaints;
        }) == "");
  }
}

TEST_CASE("Sharing and gathering move the logical tensor, and no bit of it changes") {
  REQUIRE(on_axis(3, [](Axis& axis) {
            std::string complaints;
            for (const Split& split : splits) {
              const Values whole = numbers(split.count(), 5);
              Values share(axis.share_count(split)), again(whole.size());
              replicated_to_sharded(axis, split, in(whole), out(share), "share");
              complaints += same("the share", share, share_of(axis, split, whole));
              sharded_to_replicated(axis, split, in(share), out(again), "gather");
              complaints += same("the whole", again, whole);
            }
            return complaints;
          }) == "");
}

TEST_CASE("A pair sends what its cost says, and at one rank nothing") {
  for (const int ranks : {1, 2, 3}) {
    REQUIRE(on_axis(ranks,
                    [](Axis& axis) {
                      const Split split{4, 6, 8};
                      const std::uint64_t others = static_cast<std::uint64_t>(axis.size() - 1),
                                          n = split.count() * sizeof(double),
                                          mine = axis.share_count(split) * sizeof(double);
                      const Values whole = numbers(split.count(), 1);
                      Values share(axis.share_count(split)), result(split.count());
                      std::string complaints;
                      const auto sends = [&](const char* what, std::uint64_t bytes, auto call) {
                        const std::uint64_t before = axis.communicator().payload_bytes_sent();
                        call();
                        const std::uint64_t sent = axis.communicator().payload_bytes_sent() - before;
                        if (sent != bytes)
                          complaints +=
                              std::string(what) + " sends " + std::to_string(sent) + ", not " + std::to_string(bytes);
                      };
                      sends("sharing", 0, [&] { replicated_to_sharded(axis, split, in(whole), out(share), "share"); });
                      sends("gathering", others * mine,
                            [&] { sharded_to_copies(axis, split, in(share), out(result), "gather"); });
                      sends("summing", n - mine,
                            [&] { partial_to_sharded(axis, split, in(whole), out(share), "sum"); });
                      return complaints;
                    },
                    {.transport = "tcp"}) == "");
  }
}

TEST_CASE("Counts and types that do not fit are refused by the label, before anything is sent") {
  REQUIRE(on_axis(2, [](Axis& axis) {
            const Split split{1, 5, 2};
            Values whole(split.count()), share(axis.share_count(split));
            std::string complaints;
            const auto refused = [&](const std::string& part, auto call) {
              try {
                call();
                complaints += "not refused: " + part;
              } catch (const Exception& error) {
                if (error.error().message.find(part) == std::string::npos) complaints += error.error().message;
              }
            };
            Values longer(split.count() + 1);
            std::vector<float> narrow(split.count());
            refused("'block3': the whole has 11 elements, not 10",
                    [&] { sharded_to_copies(axis, split, in(share), out(longer), "block3"); });
            refused("'block3': the share of rank " + std::to_string(axis.rank()) + " of 2 has 11 elements, not ",
                    [&] { replicated_to_sharded(axis, split, in(whole), out(longer), "block3"); });
            refused("'block3': the whole is f32, the share f64",
                    [&] { partial_to_sharded(axis, split, std::span<const float>(narrow), out(share), "block3"); });
            return complaints;
          }) == "");
}

}  // namespace trireme::tensor_parallel
