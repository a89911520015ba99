// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/mesh.hpp"

#include "ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>

using namespace trireme;
using namespace trireme::testing;

namespace {

using Axes = std::vector<MeshAxis>;

/// The ranks of `group`, as ranks of the communicator given to the mesh, by rank of the group.
std::vector<std::int32_t> members_of(Communicator group, int own) {
  const std::vector<std::int32_t> mine{own};
  std::vector<std::int32_t> all(static_cast<std::size_t>(group.size()));
  group.all_gather(std::span<const std::int32_t>(mine), std::span<std::int32_t>(all));
  return all;
}

}  // namespace

TEST_CASE("In every order of its axes a mesh has the last one on consecutive ranks, and a communicator along each") {
  std::array<std::size_t, 3> order{0, 1, 2};
  const Axes axes{{"data", 2}, {"pipeline", 2}, {"tensor", 2}};
  do {
    Complaints complaints(8);
    run_ranks(8, [&](World& world) {
      const int rank = world.rank();
      const Mesh mesh(world.communicator(), {axes[order[0]], axes[order[1]], axes[order[2]]});
      const std::array<int, 3> strides{4, 2, 1};
      for (std::size_t a = 0; a < 3; ++a) {
        const auto& name = axes[order[a]].name;
        const int coordinate = rank / strides[a] % 2;
        complaints.expect(rank, mesh.coordinate(name) == coordinate && mesh.size(name) == 2, "coordinate on " + name);
        const int first = rank - coordinate * strides[a];
        complaints.expect(rank,
                          members_of(mesh.axis(name), rank) == std::vector<std::int32_t>{first, first + strides[a]},
                          "the ranks along " + name);
      }
      complaints.expect(rank, mesh.rank() == rank && mesh.size() == 8, "rank and size");
      complaints.expect(rank, mesh.rank_at(mesh.coordinates()) == rank && mesh.rank_at({1, 0, 1}) == 5, "rank_at");
    });
    REQUIRE(complaints.all() == "");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("Communicators along axes are independent of each other") {
  Complaints complaints(4);
  run_ranks(4, [&](World& world) {
    const int rank = world.rank();
    const Mesh mesh = Mesh::parse(world.communicator(), "data=-1,tensor=2");
    Communicator data = mesh.axis("data"), tensor = mesh.axis("tensor");
    std::vector<float> a{static_cast<float>(rank)}, b{static_cast<float>(10 * rank)};
    // Ranks issue in different orders on different communicators.
    auto first = rank % 2 == 0 ? data.all_reduce_async(std::span(a)) : tensor.all_reduce_async(std::span(b));
    auto second = rank % 2 == 0 ? tensor.all_reduce_async(std::span(b)) : data.all_reduce_async(std::span(a));
    first.wait();
    second.wait();
    complaints.expect(rank, a[0] == static_cast<float>(rank % 2 * 2 + 2), "the sum along data");
    complaints.expect(rank, b[0] == static_cast<float>(10 * (rank / 2 * 4 + 1)), "the sum along tensor");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("Sets of axes named at construction have a communicator together, others are refused") {
  Complaints complaints(8);
  run_ranks(8, [&](World& world) {
    const int rank = world.rank();
    const Mesh mesh(world.communicator(), {{"data", 2}, {"pipeline", 2}, {"expert", 1}, {"tensor", 2}},
                    {{"data", "pipeline"}, {"tensor", "data"}});
    const int pipeline = rank / 2 % 2 * 2, tensor = rank % 2;
    complaints.expect(rank,
                      members_of(mesh.communicator({"pipeline", "data"}), rank) ==
                          std::vector<std::int32_t>{tensor, 2 + tensor, 4 + tensor, 6 + tensor},
                      "data and pipeline");
    complaints.expect(rank,
                      members_of(mesh.communicator({"data", "tensor"}), rank) ==
                          std::vector<std::int32_t>{pipeline, pipeline + 1, pipeline + 4, pipeline + 5},
                      "data and tensor");
    complaints.expect(rank, mesh.communicator({"tensor", "pipeline", "data"}).size() == 8, "all axes");
    complaints.expect(rank, mesh.communicator({"tensor", "expert"}).size() == 2, "an axis of one rank does not count");
    complaints.expect(rank, mesh.communicator({"expert"}).size() == 1, "an axis of one rank");
    complaints.expect_refusal(
        rank,
        "mesh data=2,pipeline=2,expert=1,tensor=2 has no communicator over {pipeline, tensor}: name "
        "the set when the mesh is made",
        [&] {
          static_cast<void>(mesh.communicator({"pipeline", "tensor"}));
        });
    complaints.expect_refusal(rank, "has no axis 'model'", [&] { static_cast<void>(mesh.axis("model")); });
    complaints.expect_refusal(rank, "has no axis 'model'", [&] { static_cast<void>(mesh.communicator({"model"})); });
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("Ranks dealt out to caches in turn are numbered anew, so that the fastest axis lies within a cache") {
  Complaints complaints(4);
  run_ranks(4,
            [&](World& world) {
              const int rank = world.rank();
              complaints.expect(rank, world.communicator().location(1) == Location{0, 1}, "the location of rank 1");
              const Mesh mesh(world.communicator(), {{"data", 2}, {"tensor", 2}});
              complaints.expect(rank, mesh.rank() == std::array{0, 2, 1, 3}[static_cast<std::size_t>(rank)],
                                "the mesh's rank");
              complaints.expect(
                  rank, members_of(mesh.axis("tensor"), rank) == std::vector<std::int32_t>{rank % 2, rank % 2 + 2},
                  "the ranks along tensor");
              complaints.expect(rank, members_of(mesh.communicator(), rank) == std::vector<std::int32_t>{0, 2, 1, 3},
                                "all ranks");
              complaints.expect(rank, mesh.rank_at({0, 1}) == 2 && mesh.rank_at(mesh.coordinates()) == rank, "rank_at");
            },
            {.cache_groups = comm::CacheGroups{.domain_of = {0, 1, 0, 1}}});
  REQUIRE(complaints.all() == "");
}

TEST_CASE("A mesh goes on with other ranks, and one that is refused changes nothing") {
  Complaints complaints(6);
  run_ranks(6, [&](World& world) {
    const int rank = world.rank();
    Mesh mesh(world.communicator(), {{"data", -1}, {"tensor", 2}});
    complaints.expect(rank, mesh.size("data") == 3, "three by two");
    auto four = world.communicator().split(rank < 4 ? 0 : 1);
    if (rank < 4) {
      mesh.rebind(*four);
      complaints.expect(rank, to_text(mesh) == "data=2,tensor=2" && mesh.size() == 4, "two by two");
      complaints.expect(rank, members_of(mesh.axis("data"), rank) == std::vector<std::int32_t>{rank % 2, rank % 2 + 2},
                        "the ranks along data");
      auto three = four->split(rank < 3 ? 0 : 1);
      complaints.expect_refusal(rank, "ranks together, which does not divide the", [&] { mesh.rebind(*three); });
      complaints.expect(rank, mesh.axis("data").size() == 2, "the mesh is what it was");
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("A mesh that does not fit its ranks is refused on every rank, before anything is sent") {
  Complaints complaints(3);
  run_ranks(3,
            [&](World& world) {
              const auto refused = [&](const char* part, const Axes& axes,
                                       std::vector<std::vector<std::string>> joined = {}) {
                complaints.expect_refusal(world.rank(), part,
                                          [&] { Mesh(world.communicator(), axes, std::move(joined)); });
              };
              refused("mesh data=2,tensor=2 has 4 ranks, but there are 3", {{"data", 2}, {"tensor", 2}});
              refused("axis 'data' stands twice", {{"data", 3}, {"data", 1}});
              refused("axis 'data' has 0 ranks", {{"data", 0}});
              refused("has no axis 'tensor'", {{"data", 3}}, {{"data", "tensor"}});
              complaints.expect(world.rank(), world.communicator().payload_bytes_sent() == 0, "bytes were sent");
              const Mesh mesh(world.communicator(), {{"data", 3}});
              complaints.expect(world.rank(), mesh.axis("data").size() == 3, "the world is as it was");
            },
            {.transport = "tcp"});
  REQUIRE(complaints.all() == "");
}
