// SPDX-License-Identifier: Apache-2.0
// A mesh's bits under schedules and numbers of stages.
#include "mesh_training.hpp"

#include <catch2/catch.hpp>

namespace trireme::models {

using namespace testing;

namespace {

/// The logical values behind training, which have to be the same in all copies.
std::vector<Values> logical(const Training& training, const std::vector<Values>& like) {
  std::string complaints;
  std::vector<Values> whole = assembled(train_mesh(training), like, complaints);
  REQUIRE(complaints == "");
  return whole;
}

bool same_tensors(const std::vector<Values>& a, const std::vector<Values>& b) {
  bool same = a.size() == b.size();
  for (std::size_t p = 0; same && p < a.size(); ++p) same = same_bits(a[p], b[p]);
  return same;
}

}  // namespace

TEST_CASE("All schedules and numbers of stages give the same bits with the same micro-batches") {
  Training training;
  training.steps = 3;
  training.micro_batches = 5;
  training.micro_batch_rows = 2;
  training.gpt.dropout = 0.1;
  const Trained dense = train_dense(training);
  for (const bool by_positions : {false, true}) {
    training.sequence_parallel = by_positions;
    training.schedule = "gpipe";
    training.chunks = 1;
    training.axes = {{"data", 1}, {"pipeline", 1}, {"tensor", 2}};
    const std::vector<Values> expected = logical(training, dense.values);
    training.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 2}};
    for (const std::string& name : pipeline::schedule_names()) {
      for (const bool recompute : {false, true}) {
        CAPTURE(by_positions, name, recompute);
        training.schedule = name;
        training.chunks = name == "interleaved" || name == "zb-v" ? 2 : 1;
        training.gpt.recompute = recompute;
        REQUIRE(same_tensors(logical(training, dense.values), expected));
      }
    }
    training.gpt.recompute = false;
  }
}

TEST_CASE("On one rank of every axis a micro-batch of all rows has the dense gradient but for the loss's rounding") {
  Training training;
  training.steps = 1;
  training.micro_batches = 1;
  training.micro_batch_rows = 8;
  const Trained dense = train_dense(training);
  training.axes = {{"data", 1}, {"pipeline", 1}, {"tensor", 1}};
  REQUIRE(differences(train_mesh(training), dense, 1e-13) == "");
}

TEST_CASE("A step without rows has loss 0 and gradients 0, and announces every parameter once") {
  trireme::testing::run_ranks(4, [](World& world) {
    const Mesh mesh(world.communicator(), {{"pipeline", 2}, {"tensor", 2}});
    const Training training;
    MeshGpt<float> model(mesh.axis("tensor"), mesh.axis("pipeline"), options_of(training, mesh));
    const auto tokens = samples::random_rows(training.gpt, training.rows);
    for (const std::size_t rows : {training.rows, std::size_t{0}}) {
      std::vector<int> announced(model.parameters().size());
      const double loss = model.forward_backward(std::span(tokens).first(rows * (training.gpt.context + 1)), rows,
                                                 [&](std::size_t p) { ++announced[p]; });
      bool zero = true;
      for (const Parameter& each : model.parameters()) {
        for (const float g : each.gradient.as<float>()) zero = zero && g == 0.0f;
      }
      const bool once = std::all_of(announced.begin(), announced.end(), [](int n) { return n == 1; });
      if (zero != (rows == 0) || (loss == 0.0) != (rows == 0) || !once) throw std::runtime_error("not as promised");
    }
  });
}

}  // namespace trireme::models
