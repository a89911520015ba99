// SPDX-License-Identifier: Apache-2.0
#include "trireme/layout/mesh_shape.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <array>

namespace trireme::layout {
namespace {

template <class Call>
std::string mesh_refusal(Call call) {
  try {
    call();
  } catch (const Exception& refused) {
    return refused.error().code == ErrorCode::invalid_argument ? refused.error().message : refused.what();
  }
  return "accepted";
}

std::string mesh_refusal(const std::vector<MeshAxis>& axes, int ranks) {
  return mesh_refusal([&] { MeshShape(axes, ranks); });
}

}  // namespace

TEST_CASE("The last axis of a mesh runs fastest, and coordinates and ranks are each other's inverse") {
  const MeshShape mesh({{"data", 2}, {"pipeline", 3}, {"tensor", 4}}, 24);
  REQUIRE(mesh.ranks() == 24);
  REQUIRE(mesh.size("pipeline") == 3);
  REQUIRE(mesh.coordinates(0) == std::vector<int>{0, 0, 0});
  REQUIRE(mesh.coordinates(1) == std::vector<int>{0, 0, 1});
  REQUIRE(mesh.coordinates(4) == std::vector<int>{0, 1, 0});
  REQUIRE(mesh.coordinates(23) == std::vector<int>{1, 2, 3});
  for (int rank = 0; rank < 24; ++rank) REQUIRE(mesh.rank_at(mesh.coordinates(rank)) == rank);
}

TEST_CASE("A group along axes has the ranks that differ on these alone, in the order of the mesh") {
  const MeshShape mesh({{"data", 2}, {"pipeline", 2}, {"tensor", 3}}, 12);
  const std::array<std::size_t, 1> data{0}, tensor{2};
  const std::array<std::size_t, 2> outer{0, 1}, around{0, 2};
  const std::array<std::size_t, 3> all{0, 1, 2};
  REQUIRE(mesh.group(7, tensor) == std::vector<int>{6, 7, 8});
  REQUIRE(mesh.group(7, data) == std::vector<int>{1, 7});
  REQUIRE(mesh.group(7, outer) == std::vector<int>{1, 4, 7, 10});
  REQUIRE(mesh.group(7, around) == std::vector<int>{0, 1, 2, 6, 7, 8});
  REQUIRE(mesh.group(7, all).size() == 12);
  REQUIRE(mesh.group(7, {}) == std::vector<int>{7});
}

TEST_CASE("The text of a mesh is read and written alike, and one axis may take the rest of the ranks") {
  REQUIRE(parse_mesh_axes("data=2,pipeline=2,tensor=-1") ==
          std::vector<MeshAxis>{{"data", 2}, {"pipeline", 2}, {"tensor", -1}});
  const MeshShape mesh(parse_mesh_axes("data=-1,tensor=4"), 12);
  REQUIRE(to_text(mesh) == "data=3,tensor=4");
  REQUIRE(MeshShape({{"data", -1}, {"tensor", 4}}, 4).size("data") == 1);
}

TEST_CASE("A mesh that is none is refused, naming what is wrong") {
  REQUIRE(mesh_refusal({{"data", 2}, {"tensor", 3}}, 8) ==
          "mesh data=2,tensor=3 has 6 ranks, but there are 8; the sizes must multiply to the number of ranks");
  REQUIRE(mesh_refusal({{"data", 2}, {"data", 4}}, 8) == "mesh data=2,data=4: axis 'data' stands twice");
  REQUIRE(mesh_refusal({{"data", 2}, {"", 4}}, 8) == "mesh data=2,=4: axis 1 has no name");
  REQUIRE(mesh_refusal({{"data", 0}, {"tensor", 4}}, 8) ==
          "mesh data=0,tensor=4: axis 'data' has 0 ranks; give at least 1, or -1 for the rest of the ranks");
  REQUIRE(mesh_refusal({{"data", -2}}, 8) ==
          "mesh data=-2: axis 'data' has -2 ranks; give at least 1, or -1 for the rest of the ranks");
  REQUIRE(mesh_refusal({{"a", -1}, {"b", -1}}, 8) ==
          "mesh a=-1,b=-1: axes 'a' and 'b' both have size -1; one axis at most may take the rest of the ranks");
  REQUIRE(mesh_refusal({{"a", -1}, {"b", 3}}, 8) ==
          "mesh a=-1,b=3: the other axes have 3 ranks together, which does not divide the 8 ranks there are; axis 'a' "
          "cannot take the rest");
  REQUIRE(mesh_refusal({{"a", 1 << 20}, {"b", 1 << 20}}, 8) ==
          "mesh a=1048576,b=1048576 has more than 2147483647 ranks, but there are 8; the sizes must multiply to the "
          "number of ranks");
  REQUIRE(mesh_refusal({}, 1) == "a mesh without axes: give at least one, such as data=8");
  REQUIRE(mesh_refusal({{"a,b", 1}}, 1) ==
          "mesh a,b=1: the name 'a,b' has a comma, an equals sign or a space; these separate axes in the mesh's text");
}

TEST_CASE("A text that is no mesh is refused, naming the part that is wrong") {
  const auto text_refusal = [](const char* text) { return mesh_refusal([&] { parse_mesh_axes(text); }); };
  REQUIRE(text_refusal("") == "mesh '': axis 0 is empty; write name=size, separated by commas");
  REQUIRE(text_refusal("data=2,") == "mesh 'data=2,': axis 1 is empty; write name=size, separated by commas");
  REQUIRE(text_refusal("data") == "mesh 'data': 'data' is not name=size");
  REQUIRE(text_refusal("=2") == "mesh '=2': '=2' is not name=size");
  REQUIRE(text_refusal("data=two") ==
          "mesh 'data=two': the size of axis 'data' is 'two'; give a number of ranks, or -1 for the rest");
  REQUIRE(text_refusal("data=2x") ==
          "mesh 'data=2x': the size of axis 'data' is '2x'; give a number of ranks, or -1 for the rest");
}

TEST_CASE("Axes and coordinates that a mesh has not are refused") {
  const MeshShape mesh({{"data", 2}, {"tensor", 2}}, 4);
  REQUIRE(mesh_refusal([&] { static_cast<void>(mesh.size("pipeline")); }) ==
          "mesh data=2,tensor=2 has no axis 'pipeline'");
  REQUIRE(mesh_refusal([&] {
            static_cast<void>(mesh.rank_at(std::array{0, 2}));
          }) == "mesh data=2,tensor=2: there is no coordinate 2 on axis 'tensor'");
  REQUIRE(mesh_refusal([&] { static_cast<void>(mesh.rank_at(std::array{0})); }) ==
          "mesh data=2,tensor=2 has 2 axes, but 1 coordinates were given");
}

}  // namespace trireme::layout
