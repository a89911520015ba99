// SPDX-License-Identifier: Apache-2.0
// A rank that fails where others wait for it: they hear of it, with its words.
#include "mesh_training.hpp"
#include "scarce_heap.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <array>

namespace trireme::models {

using namespace testing;
using trireme::testing::has;

TEST_CASE("A stage that fails while evaluating ends the evaluation of all ranks, with its words") {
  std::array<Error, 4> errors;
  trireme::testing::run_ranks(4, [&](World& world) {
    const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 2}});
    const Training training;
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    const auto tokens = samples::random_rows(training.gpt, 4);
    std::optional<trireme::testing::ScarceHeap> scarce;
    if (world.rank() == 2) scarce.emplace();
    try {
      model.evaluate(tokens, 4);
    } catch (const Exception& exception) {
      errors.at(static_cast<std::size_t>(world.rank())) = exception.error();
    } catch (const std::bad_alloc&) {
      errors.at(static_cast<std::size_t>(world.rank())).message = "no memory";
    }
  });
  CHECK(errors[2].message == "no memory");
  for (const std::size_t other : {0u, 1u, 3u}) {
    INFO(other << ": " << errors[other].message);
    CHECK(errors[other].code == ErrorCode::system);
    CHECK(has(errors[other].message, "evaluation of pipeline rank 1 failed: std::bad_alloc"));
    CHECK(errors[other].peer_rank == 2);
  }
}

}  // namespace trireme::models
