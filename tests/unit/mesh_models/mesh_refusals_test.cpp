// SPDX-License-Identifier: Apache-2.0
// What does not fit is refused before any byte moves: each rank alone would hang if it were not.
#include "mesh_training.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

namespace trireme::models {

using namespace testing;

namespace {

/// The refusal of one rank of two on each axis, the others being silent.
template <class Change>
std::string refusal(Change&& change) {
  std::string message;
  trireme::testing::run_ranks(4, [&](World& world) {
    const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 2}});
    if (world.rank() != 1) return;
    MeshGptOptions options = options_of(Training{}, mesh);
    change(options);
    const Error error =
        trireme::testing::error_of([&] { MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options); });
    message = error.code == ErrorCode::invalid_argument ? error.message : "not refused as it should be";
  });
  return message;
}

}  // namespace

TEST_CASE("A mesh, stages or schedule that do not fit the model are refused with both numbers") {
  using trireme::testing::has;
  CHECK(has(refusal([](MeshGptOptions& o) { o.gpt.layers = 1; }), "2 pipeline stages for 1 blocks"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.schedule = pipeline::gpipe(3, 2); }),
            "schedule of 3 ranks on a pipeline axis of 2"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.layers = {1, 2}; }), "3 blocks in all for a model of 4"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.layers = {2, 1, 1}; }), "for 3 stages, and the schedule has 2"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.layers = {4, 0}; }), "stage 1 of 0 blocks"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.micro_batch_rows = 0; }), "micro_batch_rows"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.gpt.heads = 3; }), "8 channels cannot be shared by 3 heads"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.gpt.memory_elsewhere = true; }), "memory_elsewhere"));
  CHECK(has(refusal([](MeshGptOptions& o) { o.schedule.ranks[0].clear(); }), "at least 8 actions"));
}

TEST_CASE("Rows and tokens that do not fit are refused with both numbers, and the model goes on") {
  std::string messages;
  trireme::testing::run_ranks(4, [&](World& world) {
    const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 2}});
    const Training training;
    MeshGpt<double> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    auto tokens = samples::random_rows(training.gpt, 9);
    if (world.rank() == 0) {
      using trireme::testing::error_of;
      messages += error_of([&] { model.forward_backward(tokens, 9); }).message + "; ";
      messages += error_of([&] { model.forward_backward(tokens, 8); }).message + "; ";
      tokens[7] = 11;
      messages += error_of([&] { model.forward_backward(std::span(tokens).first(48), 8); }).message + "; ";
      messages += error_of([&] { model.gradient_norm({}); }).message + "; ";
      messages += error_of([&] { model.clip_gradients({}, 0.0); }).message;
      tokens[7] = 0;
    }
    tokens = samples::random_rows(training.gpt, 8);
    if (!(model.forward_backward(tokens, 8) > 0.0)) throw std::runtime_error("no loss");
  });
  using trireme::testing::has;
  CHECK(has(messages, "9 rows do not fit 2 micro-batches of 4 rows at most"));
  CHECK(has(messages, "54 tokens are not 8 rows of 6"));
  CHECK(has(messages, "token 11 at 7 is not below the vocabulary of 11"));
  CHECK(has(messages, "0 gradients of"));
  CHECK(has(messages, "clipped to a norm of 0"));
}

}  // namespace trireme::models
