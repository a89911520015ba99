// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/tensor_layout.hpp"

#include "random_layouts.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <numeric>

namespace trireme::layout {
namespace {

using Elements = std::vector<std::size_t>;

Elements listed(const std::vector<Interval>& ranges) {
  Elements elements;
  for (const Interval range : ranges) {
    for (std::size_t e = range.begin; e < range.end; ++e) elements.push_back(e);
  }
  return elements;
}

template <class List>
List sliced(const List& list, Interval range) {
  return {list.begin() + static_cast<std::ptrdiff_t>(range.begin),
          list.begin() + static_cast<std::ptrdiff_t>(range.end)};
}

/// The definition, element by element: lists of indices, cut axis after axis.
Elements held_by_definition(const TensorLayout& layout, int rank) {
  std::vector<Elements> indices;
  for (const std::int64_t extent : layout.shape()) {
    indices.emplace_back(static_cast<std::size_t>(extent));
    std::iota(indices.back().begin(), indices.back().end(), std::size_t{0});
  }
  const auto elements = [&] {
    Elements all{0};
    for (std::size_t d = 0; d < indices.size(); ++d) {
      Elements next;
      for (const std::size_t row : all) {
        for (const std::size_t index : indices[d])
          next.push_back(row * static_cast<std::size_t>(layout.shape()[d]) + index);
      }
      all = next;
    }
    return all;
  };
  bool flat = false;
  Elements list;
  const auto place = layout.mesh().coordinates(rank);
  for (std::size_t a = 0; a < place.size(); ++a) {
    const auto& placement = layout.placements()[a];
    const int ranks = layout.mesh().axes()[a].size;
    if (placement.kind == PlacementKind::flat) {
      if (!flat) list = elements();
      flat = true;
      list = sliced(list, FlatShards(list.size(), ranks, placement.block).shard(place[a]));
    } else if (placement.kind == PlacementKind::sharded) {
      auto& own = indices[placement.dimension];
      auto segments = placement.segments;
      if (segments.empty()) segments = {static_cast<std::size_t>(layout.shape()[placement.dimension])};
      Elements kept;
      std::size_t begin = 0;
      for (const std::size_t size : segments) {
        Elements inside;
        for (const std::size_t index : own) {
          if (index >= begin && index < begin + size) inside.push_back(index);
        }
        const auto mine =
            piece({0, inside.size()}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(place[a]));
        for (const std::size_t index : sliced(inside, mine)) kept.push_back(index);
        begin += size;
      }
      own = kept;
    }
  }
  return flat ? list : elements();
}

/// How a layout breaks its promises; nothing if it does not.
std::string broken_promise(const TensorLayout& layout) {
  std::size_t copies = 1;
  for (std::size_t a = 0; a < layout.placements().size(); ++a) {
    const auto kind = layout.placements()[a].kind;
    if (kind == PlacementKind::replicated || kind == PlacementKind::partial)
      copies *= static_cast<std::size_t>(layout.mesh().axes()[a].size);
  }
  std::vector<std::size_t> holders(layout.count(), 0);
  const auto padded = layout.padded_shape();
  for (int rank = 0; rank < layout.ranks(); ++rank) {
    const auto ranges = layout.ranges(rank);
    const auto elements = listed(ranges);
    if (elements != held_by_definition(layout, rank)) return "rank " + std::to_string(rank) + " holds other elements";
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      if (ranges[i].begin <= ranges[i - 1].end) return "ranges touch or descend";
    }
    for (const std::size_t e : elements) ++holders[e];
    const auto shape = layout.local_shape(rank);
    std::size_t count = 1;
    for (std::size_t d = 0; d < shape.size(); ++d) {
      count *= static_cast<std::size_t>(shape[d]);
      if (shape[d] > padded[d]) return "the padding is too small";
    }
    if (count != elements.size() || layout.local_count(rank) != count) return "the local shape has another count";
    // Valid elements of the padded tensor are those whose indices lie inside the local shape.
    Elements valid;
    for (std::size_t e = 0; e < layout.padded_count(); ++e) {
      std::size_t rest = e;
      bool inside = true;
      for (std::size_t d = shape.size(); d-- > 0;) {
        inside &= rest % static_cast<std::size_t>(padded[d]) < static_cast<std::size_t>(shape[d]);
        rest /= static_cast<std::size_t>(padded[d]);
      }
      if (inside) valid.push_back(e);
    }
    if (listed(layout.valid(rank)) != valid) return "the mask names other elements";
  }
  if (std::any_of(holders.begin(), holders.end(), [&](std::size_t n) { return n != copies; }))
    return "an element is not held as often as it is replicated";
  return {};
}

std::string layout_refusal(const std::vector<std::int64_t>& shape, const MeshShape& mesh,
                           const std::vector<Placement>& placements) {
  try {
    TensorLayout("w", shape, mesh, placements);
  } catch (const Exception& refused) {
    return refused.error().code == ErrorCode::invalid_argument ? refused.error().message : refused.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("On one axis every element lies where its placement says, at any size and number of ranks") {
  testing::Dice dice(1);
  for (int round = 0; round < 60; ++round) {
    const auto shape = testing::some_shape(dice);
    for (int ranks = 1; ranks <= 8; ++ranks) {
      for (const auto& placement : testing::all_placements(shape)) {
        const TensorLayout layout("w", shape, ranks, placement);
        if (const auto broken = broken_promise(layout); !broken.empty()) FAIL(to_text(layout) << ": " << broken);
      }
    }
  }
  SUCCEED();
}

TEST_CASE("Over several axes each shares out what the ones before it have left, also of one dimension") {
  testing::Dice dice(2);
  for (int round = 0; round < 1500; ++round) {
    const auto shape = testing::some_shape(dice);
    std::vector<MeshAxis> axes;
    int ranks = 1;
    for (std::size_t a = 0; a < 2 + dice.roll(2); ++a) {
      axes.push_back({std::string(1, static_cast<char>('a' + a)), static_cast<int>(1 + dice.roll(3))});
      ranks *= axes.back().size;
    }
    const TensorLayout layout("w", shape, MeshShape(axes, ranks), testing::some_placements(shape, axes.size(), dice));
    if (const auto broken = broken_promise(layout); !broken.empty()) FAIL(to_text(layout) << ": " << broken);
  }
  SUCCEED();
}

TEST_CASE("Ten rows on three ranks are 3, 3 and 4 rows, each one range, padded to 4") {
  const TensorLayout layout("w", std::vector<std::int64_t>{10, 2}, 3, Placement::sharded(0));
  REQUIRE(layout.ranges(0) == std::vector<Interval>{{0, 6}});
  REQUIRE(layout.ranges(1) == std::vector<Interval>{{6, 12}});
  REQUIRE(layout.ranges(2) == std::vector<Interval>{{12, 20}});
  REQUIRE(layout.local_shape(1) == std::vector<std::int64_t>{3, 2});
  REQUIRE(layout.padded_shape() == std::vector<std::int64_t>{4, 2});
  REQUIRE(layout.valid(0) == std::vector<Interval>{{0, 6}});
  REQUIRE(to_text(layout) == "w [10, 2] on ranks=3: sharded(0)");
}

TEST_CASE("Of fused queries, keys and values every rank has its heads of each") {
  // Columns: 4 of queries, 2 of keys, 2 of values.
  const TensorLayout layout("qkv", std::vector<std::int64_t>{1, 8}, 2, Placement::sharded(1, {4, 2, 2}));
  REQUIRE(layout.ranges(0) == std::vector<Interval>{{0, 2}, {4, 5}, {6, 7}});
  REQUIRE(layout.ranges(1) == std::vector<Interval>{{2, 4}, {5, 6}, {7, 8}});
  REQUIRE(layout.local_shape(0) == std::vector<std::int64_t>{1, 4});
  REQUIRE(to_text(layout) == "qkv [1, 8] on ranks=2: sharded(1; 4+2+2)");
}

TEST_CASE("Two axes of one dimension: the outer one cuts it, the inner one cuts the piece") {
  const MeshShape mesh({{"data", 2}, {"tensor", 2}}, 4);
  const TensorLayout layout("w", std::vector<std::int64_t>{7}, mesh, {Placement::sharded(0), Placement::sharded(0)});
  REQUIRE(layout.ranges(0) == std::vector<Interval>{{0, 1}});
  REQUIRE(layout.ranges(1) == std::vector<Interval>{{1, 3}});
  REQUIRE(layout.ranges(2) == std::vector<Interval>{{3, 5}});
  REQUIRE(layout.ranges(3) == std::vector<Interval>{{5, 7}});
}

TEST_CASE("Tensors near the largest count are laid out without overflow") {
  const TensorLayout layout("w", std::vector<std::int64_t>{std::int64_t{1} << 31, std::int64_t{1} << 31}, 3,
                            Placement::sharded(0));
  REQUIRE(layout.count() == std::size_t{1} << 62);
  REQUIRE(layout.ranges(2).back().end == layout.count());
  REQUIRE(layout.ranges(0).size() == 1);
}

TEST_CASE("What is no layout is refused, naming tensor, dimension and axis") {
  const MeshShape mesh({{"data", 2}, {"tensor", 2}}, 4);
  const auto kept = Placement::replicated();
  REQUIRE(layout_refusal({4, 4}, mesh, {kept, Placement::sharded(3)}) ==
          "tensor 'w': axis 'tensor' shards dimension 3 of a tensor of 2 dimensions");
  REQUIRE(layout_refusal({}, mesh, {Placement::sharded(0), kept}) ==
          "tensor 'w': axis 'data' shards dimension 0 of a tensor of 0 dimensions");
  REQUIRE(layout_refusal({4, 12}, mesh, {kept, Placement::sharded(1, {4, 6})}) ==
          "tensor 'w': axis 'tensor' shards dimension 1 by segments that add up to 10, but its extent is 12");
  REQUIRE(layout_refusal({4, 4}, mesh, {Placement::flat(), Placement::sharded(1)}) ==
          "tensor 'w': axis 'tensor' shards dimension 1, but axis 'data' before it has cut the tensor flat; put "
          "'tensor' first");
  REQUIRE(layout_refusal({4, 4}, mesh, {Placement::flat(0), kept}) ==
          "tensor 'w': axis 'data' cuts it flat in blocks of 0 elements");
  REQUIRE(layout_refusal({4, 4}, mesh, {kept}) ==
          "tensor 'w': 1 placements for the 2 axes data=2,tensor=2; give one for each");
  REQUIRE(layout_refusal({4, -1}, mesh, {kept, kept}) == "tensor 'w': dimension 1 has an extent of -1");
  constexpr std::int64_t huge = std::int64_t{1} << 40;
  REQUIRE(layout_refusal({huge, huge}, mesh, {kept, kept}) == "tensor 'w' has more elements than can be counted");
  REQUIRE(layout_refusal({huge, huge, 0}, mesh, {kept, kept}) == "accepted");
  const TensorLayout layout("w", std::vector<std::int64_t>{4}, 2, Placement::sharded(0));
  REQUIRE_THROWS_WITH(layout.ranges(2), Catch::Contains("tensor 'w': 2 is not a rank of the 2 of its layout"));
}

}  // namespace trireme::layout
