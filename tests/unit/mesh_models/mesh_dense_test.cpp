// SPDX-License-Identifier: Apache-2.0
// Any mesh trains what the dense Gpt trains.
#include "mesh_training.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace trireme::models {

using namespace testing;

TEST_CASE("A mesh of 2 x 2 x 2 equals the dense Gpt after 20 steps in every order of its axes, and repeats itself") {
  Training training;
  const Trained dense = train_dense(training);
  training.axes = {{"data", 2}, {"pipeline", 2}, {"tensor", 2}};
  std::sort(training.axes.begin(), training.axes.end(), [](auto& a, auto& b) { return a.name < b.name; });
  do {
    CAPTURE(training.axes[0].name, training.axes[1].name, training.axes[2].name);
    const std::vector<MeshRank> ranks = train_mesh(training);
    REQUIRE(differences(ranks, dense, 1e-10) == "");
    for (std::size_t s = 0; s < dense.losses.size(); ++s)
      REQUIRE(std::abs(loss_of(ranks, s) - dense.losses[s]) < 1e-10);
  } while (std::next_permutation(training.axes.begin(), training.axes.end(),
                                 [](auto& a, auto& b) { return a.name < b.name; }));
  REQUIRE(same_bits(train_mesh(training), train_mesh(training)));
}

TEST_CASE("Heads, channels and vocabulary need not divide by the tensor axis, and a rank may own no head") {
  for (const std::size_t heads : {4, 2}) {
    for (const bool by_positions : {false, true}) {
      CAPTURE(heads, by_positions);
      Training training;
      training.gpt.heads = heads;
      const Trained dense = train_dense(training);
      training.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 3}};
      training.sequence_parallel = by_positions;
      REQUIRE(differences(train_mesh(training), dense, 1e-10) == "");
    }
  }
}

TEST_CASE("A rank may own no position of a short sequence") {
  for (const bool recompute : {false, true}) {
    for (const std::size_t context : {1, 2, 3}) {
      CAPTURE(recompute, context);
      Training training;
      training.gpt.context = context;
      training.gpt.recompute = recompute;
      training.rows = 2;
      training.micro_batch_rows = 1;
      training.steps = 3;
      const Trained dense = train_dense(training);
      training.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 4}};
      training.sequence_parallel = true;
      REQUIRE(differences(train_mesh(training), dense, 1e-10) == "");
    }
  }
}

TEST_CASE("A rank without heads has parameters without elements, which ZeRO 1 and bucket views take") {
  Training training;
  training.gpt.heads = 2;
  training.steps = 3;
  training.axes = {{"data", 2}, {"pipeline", 1}, {"tensor", 3}};
  const std::vector<MeshRank> plain = train_mesh(training);
  bool empty = false;
  for (const Values& each : plain[0].values) empty = empty || each.empty();
  REQUIRE(empty);
  training.zero_stage = 1;
  REQUIRE(same_bits(train_mesh(training), plain));
  training.views = true;
  REQUIRE(same_bits(train_mesh(training), plain));
}

TEST_CASE("Stages may have any blocks, and micro-batches rows that do not divide") {
  Training training;
  training.rows = 7;
  const Trained dense = train_dense(training);
  training.axes = {{"tensor", 2}, {"pipeline", 3}, {"data", 1}};
  training.layers = {1, 2, 1};
  training.micro_batches = 3;
  for (const bool by_positions : {false, true}) {
    CAPTURE(by_positions);
    training.sequence_parallel = by_positions;
    REQUIRE(differences(train_mesh(training), dense, 1e-10) == "");
  }
}

TEST_CASE("More micro-batches than rows: those without rows compute nothing") {
  Training training;
  training.rows = 3;
  training.steps = 5;
  const Trained dense = train_dense(training);
  training.axes = {{"data", 1}, {"pipeline", 2}, {"tensor", 2}};
  training.micro_batches = 5;
  training.micro_batch_rows = 1;
  REQUIRE(differences(train_mesh(training), dense, 1e-10) == "");
}

TEST_CASE("Dropout lays the dense model's masks, shared by positions or not, recomputed or not") {
  Training training;
  training.gpt.dropout = 0.2;
  const Trained dense = train_dense(training);
  training.axes = {{"data", 2}, {"pipeline", 2}, {"tensor", 2}};
  for (const bool by_positions : {false, true}) {
    for (const bool recompute : {false, true}) {
      CAPTURE(by_positions, recompute);
      training.sequence_parallel = by_positions;
      training.gpt.recompute = recompute;
      REQUIRE(differences(train_mesh(training), dense, 1e-10) == "");
    }
  }
}

TEST_CASE("ZeRO 1 on the data axis and bucket views give the bits of stage 0, clipped by the whole model's norm") {
  Training training;
  training.gpt.vocabulary = 2051;  // tensors of several blocks
  training.steps = 4;
  training.clip_norm = 0.05;
  const Trained dense = train_dense(training);
  training.axes = {{"data", 2}, {"pipeline", 2}, {"tensor", 2}};
  const std::vector<MeshRank> plain = train_mesh(training);
  REQUIRE(differences(plain, dense, 1e-10) == "");
  for (const MeshRank& rank : plain) {
    REQUIRE(same_bits(rank.norms, plain[0].norms));
    for (std::size_t s = 0; s < dense.norms.size(); ++s) {
      REQUIRE(dense.norms[s] > training.clip_norm);
      REQUIRE(std::abs(rank.norms[s] - dense.norms[s]) < 1e-10);
    }
  }
  training.clips_in_place = true;  // rounded once more, the norms are the same
  const std::vector<MeshRank> in_place = train_mesh(training);
  REQUIRE(differences(in_place, dense, 1e-10) == "");
  REQUIRE(std::abs(in_place[0].norms.back() - plain[0].norms.back()) < 1e-10);
  training.clips_in_place = false;
  training.views = true;
  REQUIRE(same_bits(train_mesh(training), plain));
  training.zero_stage = 1;
  REQUIRE(same_bits(train_mesh(training), plain));
  training.views = false;
  for (const int stage : {1, 2}) {
    training.zero_stage = stage;
    REQUIRE(same_bits(train_mesh(training), plain));
  }
}

}  // namespace trireme::models
