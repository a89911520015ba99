// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/conversion.hpp"

#include "random_layouts.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <stdexcept>

namespace trireme::layout {
namespace {

using testing::held_value;
using testing::logical_value;
using Values = std::vector<std::int64_t>;  // -0 of the library is 0 here
using Tensors = std::vector<Values>;       // by rank

Tensors laid_out(const TensorLayout& layout) {
  Tensors tensors;
  for (int rank = 0; rank < layout.ranks(); ++rank) {
    tensors.emplace_back();
    for (const Interval range : layout.ranges(rank)) {
      for (std::size_t e = range.begin; e < range.end; ++e) tensors.back().push_back(held_value(layout, rank, e));
    }
  }
  return tensors;
}

/// Whether the ranks hold the logical tensor in `layout`, summands adding up to it.
bool holds(const TensorLayout& layout, const Tensors& tensors) {
  std::vector<std::size_t> partial_axes;
  for (std::size_t a = 0; a < layout.placements().size(); ++a) {
    if (layout.placements()[a].kind == PlacementKind::partial) partial_axes.push_back(a);
  }
  for (int rank = 0; rank < layout.ranks(); ++rank) {
    Values sum(layout.local_count(rank), 0);
    for (const int other : layout.mesh().group(rank, partial_axes)) {
      const auto& theirs = tensors[static_cast<std::size_t>(other)];
      if (theirs.size() != sum.size()) return false;
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += theirs[i];
    }
    std::size_t i = 0;
    for (const Interval range : layout.ranges(rank)) {
      for (std::size_t e = range.begin; e < range.end; ++e, ++i) {
        if (sum[i] != logical_value(e)) return false;
      }
    }
  }
  return true;
}

Values packed(const Values& tensor, const std::vector<Interval>& ranges) {
  Values values;
  for (const Interval range : ranges) {
    for (std::size_t i = range.begin; i < range.end; ++i) values.push_back(tensor.at(i));
  }
  return values;
}

void expect(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// What the collective of one group gives each of its ranks for what they give, and what each sends meanwhile.
struct Outcome {
  Tensors taken;
  std::vector<std::size_t> sent;
};
Outcome collective(const std::vector<ConversionStep>& steps, const Tensors& given) {
  const std::size_t ranks = given.size();
  Outcome outcome{Tensors(ranks), std::vector<std::size_t>(ranks, 0)};
  const auto part = [](const Values& values, std::span<const std::size_t> counts, std::size_t index) {
    const auto begin =
        std::accumulate(counts.begin(), counts.begin() + static_cast<std::ptrdiff_t>(index), std::ptrdiff_t{0});
    return Values(values.begin() + begin, values.begin() + begin + static_cast<std::ptrdiff_t>(counts[index]));
  };
  Values added = given[0];
  const bool reduces = steps[0].kind == ConversionKind::all_reduce || steps[0].kind == ConversionKind::reduce_scatter;
  for (std::size_t r = 1; r < ranks && reduces; ++r) {
    expect(given[r].size() == added.size(), "ranks reduce tensors of different sizes");
    for (std::size_t i = 0; i < added.size(); ++i) added[i] += given[r][i];
  }
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto& step = steps[r];
    auto& taken = outcome.taken[r];
    auto& sent = outcome.sent[r];
    expect(step.kind == steps[0].kind, "ranks of a group take different steps");
    switch (step.kind) {
      case ConversionKind::local: taken = given[r]; break;
      case ConversionKind::all_gather:
        expect(step.counts == steps[0].counts && step.counts[r] == given[r].size(), "counts of an all_gather");
        for (const auto& each : given) taken.insert(taken.end(), each.begin(), each.end());
        sent = (ranks - 1) * given[r].size();
        break;
      case ConversionKind::all_reduce:
        taken = added;
        for (std::size_t to = 0; to < ranks; ++to) {  // its part of others' blocks, then blocks round the ring
          const Interval all{0, added.size()};
          if (to != r) sent += piece(all, ranks, to).size();
          if (to != (r + 1) % ranks) sent += piece(all, ranks, to).size();
        }
        break;
      case ConversionKind::reduce_scatter:
        expect(step.counts == steps[0].counts, "counts of a reduce_scatter");
        taken = part(added, step.counts, r);
        sent = added.size() - taken.size();
        break;
      case ConversionKind::all_to_all:
        expect(step.equal_blocks == steps[0].equal_blocks, "ranks differ in whether blocks are equal");
        for (std::size_t from = 0; from < ranks; ++from) {
          expect(step.receive_counts[from] == steps[from].counts[r], "counts of an all_to_all");
          expect(!step.equal_blocks || step.receive_counts[from] == steps[0].counts[0], "blocks are not equal");
          const auto block = part(given[from], steps[from].counts, r);
          taken.insert(taken.end(), block.begin(), block.end());
          if (from != r) sent += step.counts[from];
        }
        break;
    }
  }
  return outcome;
}

/// Runs the plan on the ranks' tensors. Every rank sees its own steps alone.
Tensors converted(const Conversion& conversion, Tensors tensors) {
  const auto& mesh = conversion.from().mesh();
  std::vector<std::uint64_t> sent(tensors.size(), 0);
  for (std::size_t s = 0; s < conversion.steps(); ++s) {
    Tensors next(tensors.size());
    for (int rank = 0; rank < mesh.ranks(); ++rank) {
      const std::array<std::size_t, 1> along{conversion.axis(s)};
      const auto group = mesh.group(rank, along);
      if (group.front() != rank) continue;  // once for each group
      std::vector<ConversionStep> steps;
      Tensors given;
      for (const int member : group) {
        steps.push_back(conversion.step(s, member));
        const auto& tensor = tensors[static_cast<std::size_t>(member)];
        expect(steps.back().input_count == tensor.size(), "the input's count");
        given.push_back(packed(tensor, steps.back().pack));
      }
      const auto outcome = collective(steps, given);
      for (std::size_t i = 0; i < group.size(); ++i) {
        const auto member = static_cast<std::size_t>(group[i]);
        Values out(steps[i].output_count, steps[i].fill_rest ? 0 : -1);
        std::size_t taken = 0;
        for (const Interval range : steps[i].unpack) {
          for (std::size_t p = range.begin; p < range.end; ++p) out.at(p) = outcome.taken[i].at(taken++);
        }
        expect(taken == outcome.taken[i].size(), "what comes out has a place");
        expect(outcome.sent[i] == steps[i].sent, "the elements sent are those predicted");
        sent[member] += outcome.sent[i];
        next[member] = std::move(out);
      }
    }
    tensors = std::move(next);
  }
  for (std::size_t r = 0; r < sent.size(); ++r)
    expect(conversion.bytes_sent(static_cast<int>(r), 4) == 4 * sent[r], "the bytes sent are those predicted");
  return tensors;
}

std::string broken_conversion(const TensorLayout& from, const TensorLayout& to) {
  try {
    const Conversion conversion(from, to);
    if (!holds(to, converted(conversion, laid_out(from)))) return "wrong values by " + to_text(conversion);
  } catch (const std::exception& thrown) {
    return thrown.what();
  }
  return {};
}

Conversion between(const MeshShape& mesh, std::vector<std::int64_t> shape, std::vector<Placement> from,
                   std::vector<Placement> to) {
  return {TensorLayout("w", shape, mesh, std::move(from)), TensorLayout("w", shape, mesh, std::move(to))};
}

}  // namespace

TEST_CASE("On one axis any layout becomes any other in one step, and the bytes sent are those predicted") {
  testing::Dice dice(3);
  for (int round = 0; round < 16; ++round) {
    const auto shape = testing::some_shape(dice);
    const auto placements = testing::all_placements(shape);
    for (int ranks = 1; ranks <= 8; ++ranks) {
      for (const auto& a : placements) {
        for (const auto& b : placements) {
          const TensorLayout from("w", shape, ranks, a), to("w", shape, ranks, b);
          if (const auto broken = broken_conversion(from, to); !broken.empty())
            FAIL(to_text(from) << " -> " << to_text(b) << ": " << broken);
          if (Conversion(from, to).steps() != (a == b ? 0u : 1u)) FAIL(to_text(from) << " -> " << to_text(b));
        }
      }
    }
  }
  SUCCEED();
}

TEST_CASE("Over several axes any layout becomes any other, also where axes cut one dimension") {
  testing::Dice dice(4);
  for (int round = 0; round < 1200; ++round) {
    const auto shape = testing::some_shape(dice);
    std::vector<MeshAxis> axes;
    int ranks = 1;
    for (std::size_t a = 0; a < 2 + dice.roll(2); ++a) {
      axes.push_back({std::string(1, static_cast<char>('a' + a)), static_cast<int>(1 + dice.roll(3))});
      ranks *= axes.back().size;
    }
    const MeshShape mesh(axes, ranks);
    const TensorLayout from("w", shape, mesh, testing::some_placements(shape, axes.size(), dice));
    const TensorLayout to("w", shape, mesh, testing::some_placements(shape, axes.size(), dice));
    if (const auto broken = broken_conversion(from, to); !broken.empty())
      FAIL(to_text(from) << " -> " << to_text(to) << ": " << broken);
  }
  SUCCEED();
}

TEST_CASE("Every change of placement is the collective that is made for it") {
  const MeshShape four({{"tensor", 4}}, 4);
  const auto text = [&](Placement from, Placement to) {
    return to_text(between(four, {8, 8}, {std::move(from)}, {std::move(to)}));
  };
  REQUIRE(text(Placement::partial(), Placement::sharded(0)) == "tensor: reduce_scatter partial -> sharded(0)");
  REQUIRE(text(Placement::partial(), Placement::replicated()) == "tensor: all_reduce partial -> replicated");
  REQUIRE(text(Placement::sharded(0), Placement::replicated()) == "tensor: all_gather sharded(0) -> replicated");
  REQUIRE(text(Placement::sharded(0), Placement::sharded(1)) == "tensor: all_to_all sharded(0) -> sharded(1)");
  REQUIRE(text(Placement::flat(), Placement::sharded(1)) == "tensor: all_to_all flat(4096) -> sharded(1)");
  REQUIRE(text(Placement::replicated(), Placement::sharded(1)) == "tensor: local replicated -> sharded(1)");
  REQUIRE(text(Placement::sharded(1), Placement::partial()) == "tensor: local sharded(1) -> partial");
  REQUIRE(text(Placement::sharded(1), Placement::sharded(1)) == "nothing");
}

TEST_CASE("Where the ranks divide both dimensions an all_to_all has equal blocks, and says so") {
  const MeshShape four({{"tensor", 4}}, 4);
  const auto conversion = [&](std::vector<std::int64_t> shape) {
    return between(four, std::move(shape), {Placement::sharded(0)}, {Placement::sharded(1)});
  };
  REQUIRE(conversion({8, 4, 3}).step(0, 2).equal_blocks);
  REQUIRE(conversion({8, 4, 3}).step(0, 2).counts == std::vector<std::size_t>{6, 6, 6, 6});
  REQUIRE_FALSE(conversion({8, 6, 3}).step(0, 2).equal_blocks);
}

TEST_CASE("Steps go in the order that sends least") {
  const MeshShape mesh({{"a", 2}, {"b", 4}}, 8);
  const auto whole = Placement::replicated();
  // First cut, then gather a quarter.
  REQUIRE(to_text(between(mesh, {8, 8}, {Placement::sharded(0), whole}, {whole, Placement::sharded(1)})) ==
          "b: local replicated -> sharded(1); a: all_gather sharded(0) -> replicated");
  // First sum, then gather what is left of it.
  REQUIRE(
      to_text(between(mesh, {8, 8}, {Placement::sharded(0), Placement::partial()}, {whole, Placement::sharded(1)})) ==
      "b: reduce_scatter partial -> sharded(1); a: all_gather sharded(0) -> replicated");
  const auto conversion = between(mesh, {8, 8}, {Placement::sharded(0), whole}, {whole, Placement::sharded(1)});
  REQUIRE(conversion.bytes_sent(0, 4) == 4 * 8);
}

TEST_CASE("An outer axis moves when the inner one of the same dimension does not cut") {
  const MeshShape mesh({{"a", 2}, {"b", 2}}, 4);
  const auto rows = Placement::sharded(0), whole = Placement::replicated();
  REQUIRE(to_text(between(mesh, {8}, {rows, rows}, {whole, rows})) ==
          "b: all_gather sharded(0) -> replicated; a: all_gather sharded(0) -> replicated; b: local replicated -> "
          "sharded(0)");
  REQUIRE(to_text(between(mesh, {8}, {rows, rows}, {rows, whole})) == "b: all_gather sharded(0) -> replicated");
}

TEST_CASE("Sums over several axes are nested, the last axis first") {
  const MeshShape mesh({{"a", 2}, {"b", 2}}, 4);
  const auto summand = Placement::partial(), whole = Placement::replicated();
  REQUIRE(to_text(between(mesh, {8}, {summand, summand}, {Placement::sharded(0), whole})) ==
          "b: all_reduce partial -> replicated; a: reduce_scatter partial -> sharded(0)");
}

TEST_CASE("A conversion keeps shape and axes") {
  const TensorLayout from("w", std::vector<std::int64_t>{4}, 2, Placement::replicated());
  const TensorLayout longer("w", std::vector<std::int64_t>{5}, 2, Placement::replicated());
  const TensorLayout wider("w", std::vector<std::int64_t>{4}, 3, Placement::replicated());
  REQUIRE_THROWS_WITH(Conversion(from, longer),
                      Catch::Contains("tensor 'w': a conversion keeps the shape, but goes from w "
                                      "[4] on ranks=2: replicated to w [5] on ranks=2: replicated"));
  REQUIRE_THROWS_WITH(Conversion(from, wider),
                      Catch::Contains("tensor 'w': a conversion keeps the axes, but goes from ranks=2 to ranks=3"));
}

}  // namespace trireme::layout
