// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/convert.hpp"

#include "ranks.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/layout/reduction_tree.hpp"
#include "unit/layout/random_layouts.hpp"

#include <catch2/catch.hpp>

#include <cstring>

using namespace trireme;
using namespace trireme::testing;

namespace {

using layout::Interval;
using layout::PlacementKind;
using LogicalShape = std::vector<std::int64_t>;

template <class T>
struct Widened {
  using Type = std::conditional_t<is_narrow<T>, float, T>;
};

/// The canonical sum of one element over the ranks: along the tree, in the accumulator type, rounded once.
template <class T>
T canonical_sum(int ranks, std::size_t element) {
  using Wide = typename Widened<T>::Type;
  std::vector<Wide> stack;
  const auto tree = layout::ReductionTree::contracted(ranks, ranks);
  for (const std::int16_t token : tree.postfix()) {
    if (token == layout::ReductionTree::combine) {
      const Wide right = stack.back();
      stack.pop_back();
      stack.back() = static_cast<Wide>(stack.back() + right);
    } else if constexpr (is_narrow<T>) {
      stack.push_back(to_float(rough_value<T>(token, element)));
    } else {
      stack.push_back(rough_value<T>(token, element));
    }
  }
  if constexpr (is_narrow<T>) {
    return from_double<T>(static_cast<double>(stack.back()));
  } else {
    return stack.back();
  }
}

template <class T>
T nothing() {
  if constexpr (std::is_integral_v<T>) {
    return T{0};
  } else {
    return from_double<T>(-0.0);
  }
}

/// Values of `rank`: of a partial layout its summand, else those of rank 0.
template <class T>
std::vector<T> input_of(const TensorLayout& layout, int rank) {
  std::vector<T> values;
  for (const Interval range : layout.ranges(rank)) {
    for (std::size_t e = range.begin; e < range.end; ++e)
      values.push_back(rough_value<T>(layout.is_partial() ? rank : 0, e));
  }
  return values;
}

/// What `rank` of one axis shall hold behind the conversion, bit by bit.
template <class T>
std::vector<T> expected_of(const TensorLayout& from, const TensorLayout& to, int rank) {
  std::vector<T> values;
  if (to.is_partial() && !from.is_partial()) {
    values.resize(from.count(), nothing<T>());
    if (from.placements()[0].kind == PlacementKind::replicated && rank != 0) return values;
    for (const Interval range : from.ranges(rank)) {
      for (std::size_t e = range.begin; e < range.end; ++e) values[e] = rough_value<T>(0, e);
    }
    return values;
  }
  if (from.is_partial() && !to.is_partial()) {
    for (const Interval range : to.ranges(rank)) {
      for (std::size_t e = range.begin; e < range.end; ++e) values.push_back(canonical_sum<T>(from.ranks(), e));
    }
    return values;
  }
  return input_of<T>(to, rank);
}

template <class T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same_bits<T>);
}

/// Every pair of placements of `shape`.
template <class T>
void convert_all(World& world, Complaints& complaints, const LogicalShape& shape) {
  const int rank = world.rank();
  auto communicator = world.communicator();
  const auto placements = layout::testing::all_placements(shape);
  for (const auto& a : placements) {
    for (const auto& b : placements) {
      const TensorLayout from("w", shape, world.size(), a), to("w", shape, world.size(), b);
      const Conversion conversion(from, to);
      const auto what = std::string(name_of(dtype_of<T>)) + " " + to_text(from) + " -> " + to_text(b);
      const auto input = input_of<T>(from, rank);
      std::vector<T> output(to.local_count(rank));
      const auto before = communicator.payload_bytes_sent();
      convert(communicator, conversion, std::span(input), std::span(output));
      const auto sent = communicator.payload_bytes_sent() - before;
      complaints.expect(rank, equal_bits(output, expected_of<T>(from, to, rank)), "bits of " + what);
      const auto predicted = predicted_bytes(communicator, conversion, dtype_of<T>);
      complaints.expect(
          rank, sent == predicted,
          "sent " + std::to_string(sent) + " bytes instead of " + std::to_string(predicted) + ": " + what);
    }
  }
}

/// How the ranks of a random layout on a mesh hold it.
std::vector<std::int64_t> held_by(const TensorLayout& layout, int rank) {
  std::vector<std::int64_t> values;
  for (const Interval range : layout.ranges(rank)) {
    for (std::size_t e = range.begin; e < range.end; ++e)
      values.push_back(layout::testing::held_value(layout, rank, e));
  }
  return values;
}

}  // namespace

TEST_CASE("Any layout becomes any other with the bits of the canonical sum, and sends the bytes predicted") {
  const auto transport = GENERATE(as<std::string>(), "mem", "tcp");
  const int ranks = GENERATE(1, 2, 3, 4, 8);
  CAPTURE(transport, ranks);
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              for (const auto& shape : {LogicalShape{8, 4}, {7}, {2, 5, 3}, {}, {3, 0}})
                convert_all<double>(world, complaints, shape);
              convert_all<float>(world, complaints, {5, 4});
              convert_all<Float16>(world, complaints, {5, 4});
              convert_all<BFloat16>(world, complaints, {5, 4});
              convert_all<std::int32_t>(world, complaints, {5, 4});
              convert_all<std::uint8_t>(world, complaints, {5, 4});
            },
            {.transport = transport});
  REQUIRE(complaints.all() == "");
}

#ifdef TRIREME_SANITIZED
constexpr std::int64_t large_rows = 23;
#else
constexpr std::int64_t large_rows = 123;
#endif

TEST_CASE("Large tensors are converted by other algorithms, with the same promises") {
  const auto transport = GENERATE(as<std::string>(), "mem", "tcp");
  Complaints complaints(4);
  run_ranks(4,
            [&](World& world) {
              convert_all<float>(world, complaints, {large_rows, 457});
            },
            {.transport = transport});
  REQUIRE(complaints.all() == "");
}

TEST_CASE("On a mesh any layout becomes any other, axes of layouts being some of the mesh's in any order") {
  struct Setting {
    std::vector<MeshAxis> mesh, axes;
  };
  const auto setting = GENERATE(values<Setting>({
      {{{"data", 2}, {"tensor", 2}}, {{"tensor", 2}, {"data", 2}}},
      {{{"data", 3}, {"tensor", 2}}, {{"data", 3}, {"tensor", 2}}},
      {{{"data", 2}, {"pipeline", 2}, {"tensor", 2}}, {{"data", 2}, {"tensor", 2}}},
      {{{"data", 2}, {"pipeline", 2}, {"tensor", 2}}, {{"pipeline", 2}, {"tensor", 2}, {"data", 2}}},
  }));
  int ranks = 1, layout_ranks = 1;
  for (const auto& axis : setting.mesh) ranks *= axis.size;
  for (const auto& axis : setting.axes) layout_ranks *= axis.size;
  const layout::MeshShape axes(setting.axes, layout_ranks);
  Complaints complaints(ranks);
  run_ranks(
      ranks,
      [&](World& world) {
        const Mesh mesh(world.communicator(), setting.mesh);
        std::vector<int> place;
        for (const auto& axis : setting.axes) place.push_back(mesh.coordinate(axis.name));
        const int rank = axes.rank_at(place);
        layout::testing::Dice dice(5);
        for (int round = 0; round < 60; ++round) {
          const auto shape = layout::testing::some_shape(dice);
          const TensorLayout from("w", shape, axes, layout::testing::some_placements(shape, axes.axes().size(), dice));
          const TensorLayout to("w", shape, axes, layout::testing::some_placements(shape, axes.axes().size(), dice));
          const auto input = held_by(from, rank);
          std::vector<std::int64_t> output(to.local_count(rank));
          const auto before = world.communicator().payload_bytes_sent();
          convert(mesh, std::span(input), from, std::span(output), to);
          const auto sent = world.communicator().payload_bytes_sent() - before;
          const auto what = to_text(from) + " -> " + to_text(to);
          complaints.expect(world.rank(), sent == predicted_bytes(mesh, Conversion(from, to), DType::i64),
                            "bytes of " + what);
          // Summands differ from those of another cut: what they add up to is looked at.
          const TensorLayout whole("w", shape, axes, std::vector<Placement>(axes.axes().size()));
          std::vector<std::int64_t> all(whole.count());
          convert(mesh, std::span<const std::int64_t>(output), to, std::span(all), whole);
          complaints.expect(world.rank(), all == held_by(whole, rank), "values of " + what);
          if (!to.is_partial()) complaints.expect(world.rank(), output == held_by(to, rank), "bits of " + what);
        }
      },
      {.transport = "tcp"});
  REQUIRE(complaints.all() == "");
}

TEST_CASE("A shape and two placements are enough for a tensor on one axis") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    const float own = static_cast<float>(world.rank());
    const std::vector<float> rows{own, own + 10};
    std::vector<float> columns(2);
    convert(world.communicator(), std::span(rows), Placement::sharded(0), std::span(columns), Placement::sharded(1),
            std::vector<std::int64_t>{2, 2});
    complaints.expect(world.rank(), columns == std::vector<float>{10 * own, 10 * own + 1}, "the columns");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("What does not fit is refused before any byte moves, naming the tensor") {
  Complaints complaints(2);
  run_ranks(
      2,
      [&](World& world) {
        const int rank = world.rank();
        auto communicator = world.communicator();
        const Mesh mesh(communicator, {{"tensor", 2}});
        const auto sent_before = communicator.payload_bytes_sent();
        const LogicalShape shape{4, 2};
        const TensorLayout rows("w", shape, 2, Placement::sharded(0)), whole("w", shape, 2, Placement::replicated());
        const Conversion gather(rows, whole);
        std::vector<float> memory(20);
        const auto view = [&](std::size_t first, std::size_t count) {
          return TensorView(&memory[first], count, DType::f32);
        };
        const auto refused = [&](const std::string& part, ConstTensorView in, TensorView out) {
          complaints.expect_refusal(rank, part, [&] { convert(communicator, gather, in, out); });
        };
        refused("convert: tensor 'w': the local input has 5 elements, but rank " + std::to_string(rank) +
                    " holds 4 of w [4, 2] on ranks=2: sharded(0)",
                view(0, 5), view(8, 8));
        refused("convert: tensor 'w': the local output has 7 elements", view(0, 4), view(8, 7));
        refused("convert: tensor 'w': input and output overlap; give disjoint memory", view(0, 4), view(2, 8));
        refused("convert: tensor 'w': the local input is null but has 4 elements", {nullptr, 4, DType::f32},
                view(8, 8));
        std::vector<double> wide(8);
        refused("convert: tensor 'w': the input is f32, the output f64", view(0, 4), std::span(wide));
        complaints.expect_refusal(rank, "has no axis 'ranks'", [&] { convert(mesh, gather, view(0, 4), view(8, 8)); });
        const layout::MeshShape four({{"tensor", 4}}, 4);
        const TensorLayout finer("w", shape, four, {Placement::sharded(0)});
        complaints.expect_refusal(
            rank, "convert: tensor 'w': axis 'tensor' has 4 ranks in its layout, but 2 in the mesh tensor=2",
            [&] { convert(mesh, view(0, 2), finer, view(8, 2), finer); });
        complaints.expect_refusal(rank,
                                  "convert: tensor 'w' lies on tensor=4, but the communicator is one axis of 2 ranks",
                                  [&] { convert(communicator, Conversion(finer, finer), view(0, 2), view(8, 2)); });
        complaints.expect(rank, communicator.payload_bytes_sent() == sent_before, "bytes were sent");
      },
      {.transport = "tcp"});
  REQUIRE(complaints.all() == "");
}
